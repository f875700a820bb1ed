"""The engine job on Duly's shells and on other engines, measured side by side: `python -m bench.peers`."""

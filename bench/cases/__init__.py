"""The benches, one module each: `run(bench) -> Result`."""

"""A plugin of pytest: what these tests import of the step is what mypyc made."""

from __future__ import annotations

from duly_compiled.use import use_compiled

if not use_compiled():
    raise RuntimeError("the step is not compiled: python -m duly_compiled.build")

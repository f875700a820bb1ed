"""Use cases: one function per event, on ports."""

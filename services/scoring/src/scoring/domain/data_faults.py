"""The faults that are a debtor's data's own."""

from __future__ import annotations

# What a fold or a model can raise over data it was not made for. Anything else means the process is broken.
DATA_FAULTS = (ValueError, ArithmeticError, LookupError, TypeError)

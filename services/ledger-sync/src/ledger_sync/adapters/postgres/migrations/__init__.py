"""Schema of ledger-sync, forward only."""

"""Reader of the ledger export format: a directory to canonical facts in known order."""

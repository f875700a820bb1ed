"""What the mirror of a ledger is, and how facts change it. Pure: no clock, no SQL, no broker."""

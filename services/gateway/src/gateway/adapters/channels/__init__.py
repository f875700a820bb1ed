"""One provider each: one call, one outcome, no decision, no retry."""

"""Pure: what is owed, what is due to be said, and what a person must do."""

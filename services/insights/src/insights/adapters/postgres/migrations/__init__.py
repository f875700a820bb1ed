"""Schema changes, forward only, one numbered file each."""

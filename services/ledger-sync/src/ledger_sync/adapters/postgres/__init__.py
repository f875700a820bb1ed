"""Stores of the mirror, the quarantine and the calendar."""

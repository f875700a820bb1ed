"""Reacts to score changes and decides treatments."""

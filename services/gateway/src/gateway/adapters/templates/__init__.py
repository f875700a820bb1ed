"""Versioned message templates."""

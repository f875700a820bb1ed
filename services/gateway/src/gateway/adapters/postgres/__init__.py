"""The gateway's own database."""

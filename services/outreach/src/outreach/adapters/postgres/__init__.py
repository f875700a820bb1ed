"""Outreach state in its own PostgreSQL database."""

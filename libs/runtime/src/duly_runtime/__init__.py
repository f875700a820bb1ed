"""Plumbing every service shares: log, inbox, outbox, clocks, health, telemetry. Knows no domain word."""

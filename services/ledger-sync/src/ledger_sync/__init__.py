"""Turns deliveries from source systems into canonical ledger events."""

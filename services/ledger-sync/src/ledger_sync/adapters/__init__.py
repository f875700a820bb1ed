"""The ports of `application` on PostgreSQL and the event log."""

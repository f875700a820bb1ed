"""The process loops: consumer and requester."""

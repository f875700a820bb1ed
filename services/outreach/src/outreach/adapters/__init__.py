"""Ports on real technology: PostgreSQL, gRPC, metrics."""

"""Kafka, PostgreSQL, MLflow and an SMTP inbox from pip-installed parts, on loopback."""

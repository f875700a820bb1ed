"""Faust, Kafka, the model registry and the threads that guard the process."""

"""Throughput and latency of the hot paths, on real servers and real service processes, as one JSON document."""

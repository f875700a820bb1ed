"""Sentences and buckets: pure."""

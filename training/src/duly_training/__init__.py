"""Fits, evaluates and registers the risk model."""

"""Checks of the rendered Kubernetes objects, offline. A rule takes all objects of an overlay and returns its faults."""

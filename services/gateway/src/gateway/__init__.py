"""The last legal gate, the channels and the API edge."""

"""The use cases, one file each; ports say what they need."""

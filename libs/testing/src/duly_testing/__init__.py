"""In-memory log, fake clock, contract suites and real-server fixtures for tests."""

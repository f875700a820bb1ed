"""The process loops: the Faust stream, and the same over any event log for scenario tests."""

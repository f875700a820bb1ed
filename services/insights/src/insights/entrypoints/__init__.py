"""The projector loop and the gRPC edge."""

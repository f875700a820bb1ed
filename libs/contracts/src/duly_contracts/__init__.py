"""Generated protobuf stubs, the topic registry and the event envelope."""

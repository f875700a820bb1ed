"""gRPC, REST, dispatcher, consumer: decode, call, encode."""

"""Records in, outputs and state blobs out; no broker, no model registry, no clock."""

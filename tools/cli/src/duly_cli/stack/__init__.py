"""The local stack: servers, services, their start in numbered steps and their end in order."""

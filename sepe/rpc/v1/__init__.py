"""Version 1 of the gRPC services (generated)."""

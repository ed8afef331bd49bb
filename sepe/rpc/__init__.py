"""The gRPC services, generated from proto/. Only the edges in node and hub import it."""

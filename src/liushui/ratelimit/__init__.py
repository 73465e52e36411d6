"""Rate limits for calls to providers (outgoing) and requests to the server (incoming)."""

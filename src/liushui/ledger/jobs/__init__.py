"""The state of syncs: sources and their runs, observations of their services, leases, requests and progress."""

"""The state of syncs: sources and their runs, what was observed of their services, leases, requests and progress."""

"""The state of syncs: sources and their runs, leases, requests and progress."""

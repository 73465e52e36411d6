"""What a sync needs to know and to leave behind: sources, leases, requests and progress."""

"""Every path that changes flows: commits, recorded flows, quarantine and reprocessing."""

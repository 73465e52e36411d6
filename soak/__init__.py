"""The soak: seeded syncs of simulated accounts under faults and kills. The invariant must hold after each sync."""

"""The soak: seeded syncs of simulated accounts under faults and kills. After each of them the invariant must hold."""

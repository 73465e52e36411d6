"""The soak: seeded syncs of simulated accounts under faults and kills, after each of which the invariant must hold."""

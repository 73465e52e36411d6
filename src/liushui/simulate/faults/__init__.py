"""Faults of simulated providers: on the wire, and in their statements about rows. Seeded; no provider is named."""

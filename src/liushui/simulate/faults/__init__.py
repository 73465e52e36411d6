"""Faults of simulated providers: on the wire, and in what they say about their rows. Seeded; no provider is named."""

"""Faults of a simulated provider: on its wire, and in what it says of its rows. Seeded; no provider is known here."""

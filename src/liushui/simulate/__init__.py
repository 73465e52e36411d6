"""The simulator: a seeded world of accounts, read through the same contract as a ledger. No provider is known here."""

"""The simulator: a seeded world of accounts, read through the same contract as a ledger.

It does not know any provider.
"""

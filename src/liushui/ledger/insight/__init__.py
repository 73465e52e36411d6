"""What a person wants to see of a ledger at one glance: what is there, what moved and where, what is wrong."""

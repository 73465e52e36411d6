"""Reconciling money: which flows belong together, and whether the balances follow. Pure: no I/O, no clock."""

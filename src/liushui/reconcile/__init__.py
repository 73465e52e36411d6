"""Reconciliation: which flows belong together, and whether the balances follow from each other.

Pure: no I/O, no clock.
"""

"""Whole-ledger operations: verify, backup, restore and copy."""

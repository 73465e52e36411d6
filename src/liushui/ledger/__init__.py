"""The ledger: stores flows exactly once, and which ranges are proven. Import from its modules."""

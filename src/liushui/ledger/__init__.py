"""The ledger: flows kept exactly once, with what is proven about them. Import from its modules."""

"""The databases that a ledger may be kept in, one module each. `ledger.engine` opens them."""

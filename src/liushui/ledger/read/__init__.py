"""The read model: every question about the ledger that the CLI, the API and the page ask."""

"""Who may read and write: keys, tokens, log-ins, and the vault that encrypts credentials."""

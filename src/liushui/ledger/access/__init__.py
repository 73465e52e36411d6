"""Who may read and write: keys of provider APIs, tokens of our API, sessions of the page. And the vault for secrets."""

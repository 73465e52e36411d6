"""Access: keys of provider APIs, tokens of our API, sessions of the page; and the vault for secrets."""

"""Log-in, sessions and the guard in front of every page."""

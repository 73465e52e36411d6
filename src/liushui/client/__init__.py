"""The client of our own API, and the words that it and the server share."""

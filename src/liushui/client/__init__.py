"""The client of our own API, and the resources that client and server share."""

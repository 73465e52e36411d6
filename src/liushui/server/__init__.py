"""The server: the providers' APIs, liushui's own API and the pages, on one port."""

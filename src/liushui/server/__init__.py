"""Serving: every provider's own wire API, on one port."""

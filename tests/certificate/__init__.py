"""Certificates and the independent checker."""

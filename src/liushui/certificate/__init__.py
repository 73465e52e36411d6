"""Certificates: signed statements about one period of an account, which a stranger can check without liushui."""

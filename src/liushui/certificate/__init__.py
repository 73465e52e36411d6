"""Certificates: signed statements about one period of an account, which anybody can check without liushui."""

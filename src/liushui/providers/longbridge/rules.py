"""Longbridge cash flow: what its documents state, as data. Marks of each number: MAPPING.md."""

from liushui.providers._longbridge import rules

RULES = rules.RULES
"""The limits of the service are this generation's: its document is the one that states them."""

"""Longbridge's first draft: its limits, as data. Marks of each number: MAPPING.md."""

from liushui.providers._longbridge import rules

RULES = rules.RULES
"""The document states none; the service's are taken to hold. Its requests always say `page` and `size`."""

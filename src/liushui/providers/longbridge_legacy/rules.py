"""Longbridge's first draft: its limits, as data. Marks of each number: MAPPING.md."""

from liushui.wire.longbridge import service

RULES = service.RULES
"""The document states none; the service's are taken to hold. Its requests always say `page` and `size`."""

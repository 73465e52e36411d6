"""Our own API, under /api/v1."""

from typing import Final

ROOT: Final = "/api/v1"

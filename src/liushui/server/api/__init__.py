"""Our own API, under /api/v1."""

from liushui.server.api.routes import ROOT, api_routes

__all__ = ["ROOT", "api_routes"]

"""What a browser is shown at / where there are no pages: what is served here, and nothing of what is in it."""

from collections.abc import Mapping
from typing import Final

from liushui import __version__
from liushui.provider import Provider
from liushui.server.dialects import MOUNT

HEADERS: Final = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'"),
    ("x-content-type-options", "nosniff"),
]


def index_page(providers: Mapping[str, Provider]) -> bytes:
    """What a browser is shown at /: what is served here, and nothing of what is in it."""
    rows = "".join(
        f"<tr><td>{provider.title}</td><td><code>{route.method} {route.path}</code></td>"
        f"<td><code>{MOUNT}{provider.name}{route.path}</code></td></tr>"
        for provider in providers.values()
        for route in provider.server.routes
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>liushui</title></head><body>
<h1>liushui 流水</h1><p>One ledger for every fund flow. Version {__version__}.</p>
<table><tr><th>Provider</th><th>Served at</th><th>and at</th></tr>{rows}</table>
<p>A key for one of them: <code>liushui key create --dialect NAME --account ACCOUNT</code></p>
</body></html>
""".encode()

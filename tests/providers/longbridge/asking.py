"""Official clients, called in a separate process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from liushui.testing.processes import Running
from tests.providers.longbridge import official


def ask(
    client: str, served: Running, credentials: Mapping[str, str], *calls: dict[str, Any], zone: str = "UTC", **job: str
) -> list[Any]:
    """Have an official client make calls, in a process of its own, whose local time is that of a zone."""
    given = {"client": client, "http_url": served.url, "ws_url": served.socket_url, "credentials": credentials}
    done = subprocess.run(
        [sys.executable, official.__file__],
        input=json.dumps(given | job | {"calls": calls}),
        env=os.environ | {"TZ": zone},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: list[Any] = json.loads(done.stdout)
    return results

"""The npm package oidc-provider, installed once and run as a process, and a person's browser that uses it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx2

from tests.providers.installed import CACHE
from tests.system import leave_out

HERE: Final = Path(__file__).parent
INSTALL_S: Final = 240


def installed() -> Path:
    """The folder with the packages of package-lock.json. Without node or a registry the test is left out."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        leave_out("node and npm are missing: `apt-get install nodejs npm` enables this test")
    lock = HERE / "package-lock.json"
    folder = CACHE / f"oidc-provider-{sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE) as temporary:
            for name in ("package.json", lock.name):
                shutil.copy(HERE / name, temporary)
            command = [npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
            try:
                done = subprocess.run(
                    command, cwd=temporary, capture_output=True, text=True, timeout=INSTALL_S, check=False
                )
            except subprocess.TimeoutExpired:
                leave_out(f"oidc-provider cannot be installed: the registry did not answer in {INSTALL_S} s")
            if done.returncode:
                leave_out(f"oidc-provider cannot be installed: {done.stderr.strip()[:200]}")
            try:
                Path(temporary).rename(folder)
            except OSError:
                if not folder.exists():  # else another process was faster, and what it made is the same
                    raise
            Path(temporary).mkdir(exist_ok=True)  # TemporaryDirectory removes it
    return folder / "node_modules"


@dataclass
class Provider:
    """A provider that runs."""

    url: str
    people: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, login: str, **claims: object) -> None:
        """Let a person log in as `login`, about whom the provider says these claims."""
        self.people[login] = claims
        self.tamper("")

    def tamper(self, how: str) -> None:
        """Change the provider's answers from now on. "": they are as they should be."""
        with httpx2.Client(trust_env=False, verify=False) as client:  # verify: it would read certificates for nothing
            answer = client.post(f"{self.url}/test/state", json={"people": self.people, "tamper": how})
        assert answer.status_code == 204

    def log_in(self, address: str, login: str, redirect_uri: str) -> str:
        """Log in at the provider with a new browser. Returns the address that it sends the browser to."""
        with httpx2.Client(trust_env=False, verify=False, follow_redirects=False) as browser:
            for _ in range(20):
                answer = browser.get(address)
                if answer.status_code == 200:  # the form
                    action = re.search(r'action="([^"]+)"', answer.text)
                    assert action is not None, answer.text
                    form = {"prompt": "login", "login": login, "password": "any"}
                    answer = browser.post(urljoin(address, unescape(action[1])), data=form)
                assert answer.is_redirect, (answer.status_code, answer.text)
                address = urljoin(address, answer.headers["location"])
                if address.partition("?")[0] == redirect_uri:
                    return address
        raise AssertionError(f"the provider never sent the browser back: {address}")


@contextmanager
def running_provider(client: Mapping[str, object]) -> Iterator[Provider]:
    """Run the provider with one client. It has printed its address, so it accepts connections."""
    modules = installed()
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        script = Path(folder) / "provider.mjs"
        shutil.copy(HERE / script.name, script)
        (Path(folder) / "node_modules").symlink_to(modules)
        node = shutil.which("node") or "node"
        process = subprocess.Popen(
            [node, str(script), json.dumps(client)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()  # ends as well if the process does
            assert line, (Path(folder) / "log").read_text()
            yield Provider(json.loads(line)["url"])
        finally:
            process.kill()
            process.communicate()


def path_of(address: str) -> str:
    """The path and the query of an address, for a client of its server."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path

"""The wheel is complete: `uvx` and `pipx run` start it outside the repository, in a clean environment."""

import os
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Final, NamedTuple
from zipfile import ZipFile

import httpx2
import pytest
from uv import find_uv_bin

from tests.cli.commands import newcomers_environment, starting
from tests.demo import LINK
from tests.packaging.wheels import PROJECT, build, repack
from tools.installed import needed

PACKAGE: Final = PROJECT / "src/liushui"
VENDOR: Final = PACKAGE / "server/web/static/vendor"


class Wheels(NamedTuple):
    """The project's wheel, and the folder that it lies in with the wheels of what it needs."""

    liushui: Path
    metadata: Message

    @property
    def folder(self) -> Path:
        return self.liushui.parent


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    wheel = build(tmp_path_factory.mktemp("wheels"))
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    for package in needed([*metadata.get_all("Requires-Dist", []), "pip"]):  # pipx upgrades pip first
        repack(package, wheel.parent)
    return Wheels(wheel, metadata)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home folder outside of the repository, and the current folder of the test."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    yield home


def offline(home: Path, wheels: Wheels) -> dict[str, str]:
    """An environment in which nothing of this project's is found, and no package index."""
    environment = {name: said for name, said in newcomers_environment(home).items() if not name.startswith("PYTHON")}
    return environment | {
        "PATH": os.defpath,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels.folder),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIPX_HOME": str(home / "pipx"),
        "UV_CACHE_DIR": str(home / "cache"),
    }


def test_every_file_of_the_package_is_in_the_wheel(wheels: Wheels) -> None:
    files = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheels.liushui) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == files
    assert "liushui/py.typed" in packed


def test_the_licences_of_all_that_is_in_the_wheel_are_in_its_metadata(wheels: Wheels) -> None:
    names = ("LICENSE*", "NOTICE*")
    vendored = {path.relative_to(PROJECT).as_posix() for name in names for path in VENDOR.rglob(name)}
    assert set(wheels.metadata.get_all("License-File", [])) == {"LICENSE", *vendored}
    assert {path.relative_to(VENDOR).parts[0] for path in VENDOR.rglob("LICENSE")} == {
        path.name for path in VENDOR.iterdir() if path.is_dir()
    }


def test_uvx_runs_the_demo(wheels: Wheels, elsewhere: Path) -> None:
    """With the pages, their texts and static files, the migrations, and a second and a third process of the program."""
    command = [find_uv_bin(), "tool", "run", "--no-config", "--no-index", "--find-links", str(wheels.folder)]
    command += ["--python", sys.executable, "--no-python-downloads", "--from", str(wheels.liushui), "liushui"]
    words = ["demo", "--flows", "20", "--port", "0", "--workers", "1"]
    with starting([*command, *words], offline(elsewhere, wheels)) as said:
        link = LINK.findall(said)[-1]
        with httpx2.Client(follow_redirects=True, timeout=60, headers={"accept-language": "zh-CN"}) as browser:
            page = browser.get(link)
            assert page.status_code == 200
            assert "<h1>总览</h1>" in page.text
            assert "trader-1" in page.text
            sheets = [part.split('"')[0] for part in page.text.split('href="') if part.startswith("/static/")]
            assert sheets
            assert {browser.get(page.url.join(sheet)).status_code for sheet in sheets} == {200}
            assert browser.get(page.url.join("/providers/longbridge")).status_code == 200, "it shows MAPPING.md"


def test_pipx_runs_it(wheels: Wheels, elsewhere: Path) -> None:
    command = [sys.executable, "-m", "pipx", "run", "--backend", "pip", "--python", sys.executable]
    done = subprocess.run(
        [*command, "--spec", str(wheels.liushui), "liushui", "--version"],
        env=offline(elsewhere, wheels),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"liushui {wheels.metadata['Version']}"

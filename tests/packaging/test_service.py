"""The files that run liushui as a service: the systemd unit, and the compose file."""

import ctypes
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import yaml  # type: ignore[import-untyped] # its stubs are a package of their own

from liushui import __version__
from liushui.cli.options import LEDGER_VARIABLE
from liushui.cli.serve import PASSWORD_VARIABLE, PORT, serve
from liushui.environment import FILE_SUFFIX, read_secret
from liushui.ledger.access.vault import KEY_VARIABLE
from liushui.server.health import HEALTH_PATH
from tests.cli.commands import LIUSHUI, newcomers_environment, run, starting
from tests.demo import LINK
from tests.packaging.wheels import PROJECT
from tests.system import require

UNIT: Final = PROJECT / "deploy/systemd/liushui.service"
IMAGE: Final = PROJECT / "deploy/image"
COMPOSE: Final = PROJECT / "deploy/compose.yaml"
EXPOSURE_MAX: Final = 2.5
SECRETS: Final = {LEDGER_VARIABLE, KEY_VARIABLE, PASSWORD_VARIABLE}

PR_SET_MDWE: Final = 65
PR_MDWE_REFUSE_EXEC_GAIN: Final = 1


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert isinstance(parsed, dict)
    return parsed


def variables_in(text: str) -> set[str]:
    """The names of liushui's variables in a file."""
    return set(re.findall(r"\bLIUSHUI_[A-Z_]+\b", text))


def test_systemd_rates_the_unit_as_well_protected() -> None:
    analyze = require("systemd-analyze", "systemd")
    threshold = str(int(EXPOSURE_MAX * 10))
    command = [analyze, "security", "--offline=true", f"--threshold={threshold}", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rating = re.search(r"Overall exposure level for liushui.service: ([\d.]+)", done.stdout)
    assert rating is not None and float(rating[1]) <= EXPOSURE_MAX


def test_systemd_knows_every_setting_of_the_unit(tmp_path: Path) -> None:
    """It warns of settings that it does not know, and ignores them."""
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub("(?m)^ExecStart=.*$", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8")))
    command = [require("systemd-analyze", "systemd"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert UNIT.name not in done.stderr, "systemd also reports other units of the machine"


def test_the_unit_hands_secrets_over_as_files() -> None:
    text = UNIT.read_text(encoding="utf-8")
    credentials = set(re.findall(r"(?m)^#?LoadCredential=(\w+):", text))
    assert (
        credentials
        == set(re.findall(r"(?m)^#?Environment=\w+_FILE=%d/(\w+)$", text))
        == {
            "ledger",
            "secret_key",
            "page_password",
        }
    )
    assert {name.removesuffix(FILE_SUFFIX) for name in variables_in(text)} == SECRETS


@pytest.mark.parametrize("name", ["liushui", "database"])
def test_what_a_service_of_the_compose_file_uses_is_there(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert set(service["secrets"]) <= set(compose["secrets"])
    assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(compose["volumes"])
    assert set(service.get("depends_on", {})) <= set(compose["services"])
    files = {value for key, value in service["environment"].items() if key.endswith(FILE_SUFFIX)}
    assert files == {f"/run/secrets/{secret}" for secret in service["secrets"]}
    assert not service["image"].endswith(("latest", name)), "an image without a version changes by itself"


def test_the_compose_file_hands_secrets_over_as_files(compose: dict[str, Any]) -> None:
    variables = variables_in(COMPOSE.read_text(encoding="utf-8"))
    assert variables == {name + FILE_SUFFIX for name in SECRETS} | {LEDGER_VARIABLE}
    ports = compose["services"]["liushui"]["ports"]
    assert all(port.startswith("127.0.0.1:") for port in ports), "plain HTTP stays on the machine"


def test_a_server_runs_without_memory_that_it_can_write_and_execute(tmp_path: Path) -> None:
    """As under the unit's MemoryDenyWriteExecute=: a library that compiles at run time would end it.

    Linux before 6.3 cannot refuse it by itself, without systemd; there the server runs as always.
    """

    def deny() -> None:
        ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)

    command = [*LIUSHUI, "serve", "--sync", "--port", "0", "--workers", "1"]
    with starting(command, newcomers_environment(tmp_path), before=deny) as said:
        page = httpx2.get(LINK.findall(said)[-1], follow_redirects=True, timeout=60)
        assert page.status_code == 200


# ---------------------------------------------------------------- the container image


@pytest.mark.parametrize("script", ["build", "check"])
def test_the_scripts_of_the_image_can_be_read(script: str) -> None:
    done = subprocess.run(["bash", "-n", str(IMAGE / script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_is_as_the_compose_file_and_the_server_expect_it(compose: dict[str, Any]) -> None:
    build = (IMAGE / "build").read_text(encoding="utf-8")
    health = re.search(r"--healthcheck 'CMD .*http://127.0.0.1:(\d+)(/\w+)", build)
    assert health is not None and health.groups() == (str(PORT), HEALTH_PATH)
    ports = re.findall(r"--port (\d+)", build)
    assert [port.rpartition(":")[2] for port in compose["services"]["liushui"]["ports"]] == ports
    assert compose["services"]["liushui"]["image"] == f"localhost/liushui:{__version__}"
    assert "--user 10001:10001" in build and "useradd --uid 10001" in build
    assert f"--env {LEDGER_VARIABLE}=/data/" in build and "--volume /data" in build


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    return dict(re.findall(r"--env ([A-Z]+[A-Z_]*)=(\S+)", (IMAGE / "build").read_text(encoding="utf-8")))


def test_a_container_of_the_compose_file_reads_its_secrets(
    compose: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container has the variables of its image, too, where the compose file does not replace them."""
    service = compose["services"]["liushui"]
    for name in [name for name in os.environ if name.startswith("LIUSHUI_")]:
        monkeypatch.delenv(name)
    for name, value in (image_environment() | service["environment"]).items():
        if name.startswith("LIUSHUI_"):
            monkeypatch.setenv(name, value.replace("/run/secrets", str(tmp_path)))
    for secret in service["secrets"]:
        (tmp_path / secret).write_text(f"{secret}\n")
    assert [read_secret(name) for name in (LEDGER_VARIABLE, KEY_VARIABLE, PASSWORD_VARIABLE)] == [
        "ledger",
        "secret_key",
        "page_password",
    ]


def test_the_commands_of_the_deployments_are_commands_of_the_program(compose: dict[str, Any], tmp_path: Path) -> None:
    build = (IMAGE / "build").read_text(encoding="utf-8")
    by_image = re.search(r"--cmd '([^']+)'", build)
    by_unit = re.search(r"(?m)^ExecStart=\S+/liushui (.+)$", UNIT.read_text(encoding="utf-8"))
    assert by_image is not None and by_unit is not None
    assert compose["services"]["liushui"]["command"] == by_image[1].split()
    for words in (by_image[1].split(), by_unit[1].split()):
        assert run(tmp_path / "ledger.db", *words, "--help").returncode == 0
        options = {option for parameter in serve.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_what_a_read_only_container_writes_to_can_be_written(compose: dict[str, Any]) -> None:
    """The home folder has the configuration and the ledger, and /tmp what is temporary."""
    service, image = compose["services"]["liushui"], image_environment()
    build = (IMAGE / "build").read_text(encoding="utf-8")
    assert service["read_only"] and "user" not in service, "the volume belongs to the image's user"
    writable = {*service["tmpfs"], *(volume.partition(":")[2] for volume in service["volumes"])}
    assert writable == {"/tmp", image["HOME"]}  # noqa: S108 - a path in a container
    assert Path(image[LEDGER_VARIABLE]).parent == Path(image["HOME"])
    assert f"--home-dir {image['HOME']} --create-home" in build, "a new volume gets its owner from the image's folder"


def test_the_database_of_the_compose_file_is_the_one_that_the_documentation_connects_to(
    compose: dict[str, Any],
) -> None:
    environment = compose["services"]["database"]["environment"]
    guide = (PROJECT / "docs/service.md").read_text(encoding="utf-8")
    url = f"postgresql://{environment['POSTGRES_USER']}:$(cat secrets/database_password)@database/"
    assert f"{url}{environment['POSTGRES_DB']}" in guide
    made = set(re.findall(r"> secrets/(\w+)", guide))
    assert made == set(compose["secrets"]) == {Path(secret["file"]).name for secret in compose["secrets"].values()}
    health = compose["services"]["database"]["healthcheck"]["test"]
    assert {f"--username={environment['POSTGRES_USER']}", f"--dbname={environment['POSTGRES_DB']}"} <= set(health)

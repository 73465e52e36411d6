"""The long run over wrong clocks, which `make clocks` starts. Its name keeps pytest from collecting it.

wrong_clocks.py has the checks after each sync.
"""

import os
import signal
import time
from pathlib import Path
from random import Random

import pytest

from liushui.providers import get_provider
from tests.sync.wrong_clocks import OFFSETS, PROVIDERS, RIGHT, machine_at


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_each_wrong_clock_of_each_provider(name: str, offset: str, tmp_path: Path) -> None:
    """First, after a right one, and twice in a row."""
    with machine_at(get_provider(name), tmp_path) as machine:
        for wrong in (OFFSETS[offset], RIGHT, OFFSETS[offset], OFFSETS[offset], RIGHT):
            assert ("clock" in machine.sync(wrong)) is (wrong != RIGHT)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PROVIDERS)
def test_wrong_clocks_in_any_order(name: str, seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    with machine_at(get_provider(name), tmp_path) as machine:
        for offset in random.choices([*OFFSETS.values(), RIGHT], k=8):
            machine.sync(offset)
        machine.sync(RIGHT)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_rate_that_was_counted_by_a_wrong_clock(name: str, offset: str, tmp_path: Path) -> None:
    """Calls that are counted for a time that has not come do not hold back those of now."""
    with machine_at(get_provider(name), tmp_path, paced=True) as machine:
        machine.sync(OFFSETS[offset])
        machine.sync(RIGHT)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_sync_with_a_wrong_clock_that_is_killed(name: str, offset: str, tmp_path: Path) -> None:
    """It leaves a lease that ends when its clock says, and perhaps a part of the rows."""
    with machine_at(get_provider(name), tmp_path) as machine:
        for delay_s in (0.8, 1.2, 1.6):
            with machine.syncing(OFFSETS[offset]) as process:
                time.sleep(delay_s)
                os.killpg(process.pid, signal.SIGKILL)
            machine.check_proven()
        machine.sync(RIGHT)

"""Syncs with a wrong clock: no range is called complete before the provider can have published it.

Once the clock is correct, a plain sync has every row, without any repair by a person. `make clocks` runs
long_clocks.py: every wrong clock of every provider, with rates, and with kills.
"""

from pathlib import Path

import pytest

from liushui.providers import get_provider
from tests.sync.wrong_clocks import OFFSETS, PROVIDERS, RIGHT, machine_at


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_first_sync_ten_years_ahead(name: str, tmp_path: Path) -> None:
    """The largest error, at the worst time: the ledger knows nothing yet."""
    with machine_at(get_provider(name), tmp_path) as machine:
        assert "clock of this machine is 365" in machine.sync(OFFSETS["10 years ahead"])
        assert "clock" not in machine.sync(RIGHT)


def test_every_wrong_clock_one_after_the_other(tmp_path: Path) -> None:
    """At the provider that tolerates least: a request whose time is off by a minute is refused."""
    with machine_at(get_provider("hkus"), tmp_path) as machine:
        for offset in OFFSETS.values():
            assert "clock of this machine" in machine.sync(offset)
        assert "clock" not in machine.sync(RIGHT)

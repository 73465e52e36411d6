"""The rows that every contestant gets: one account of a seeded world, as Longbridge's wire has them, in one file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from liushui.providers.longbridge import codec
from liushui.providers.longbridge.codec import LANGUAGE
from liushui.simulate.world import Parameters, World

SEED: Final = 1
BEGIN: Final = datetime(2021, 1, 1, tzinfo=UTC)
END: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Data(NamedTuple):
    """Rows in a file: JSON lines, oldest first."""

    file: Path
    flows: int

    def rows(self) -> Iterator[bytes]:
        """The rows, byte for byte, oldest first."""
        with self.file.open("rb") as lines:
            for line in lines:
                yield line.rstrip(b"\n")


def make_data(folder: Path, flows: int) -> Data:
    """Write the rows of a world of so many flows, the one that `liushui simulate` serves for the same seed."""
    world = World(Parameters(accounts=1, flows=flows, seed=SEED, begin=BEGIN, end=END))
    file = folder / f"rows-{flows}.jsonl"
    with file.open("wb") as out:
        for flow in world.flows(world.accounts[0], BEGIN, END):
            out.write(codec.write(flow, LANGUAGE) + b"\n")
    return Data(file, flows)

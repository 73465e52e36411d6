"""Golden pairs: an answer of a provider, `<case>.wire.json`, and next to it its decoded flows, `<case>.flows.json`.

If a provider's answers are not JSON, the answer has another extension, such as `<case>.wire.csv`.

A changed behaviour shows as a difference in the flows. `python -m liushui.testing.golden PROVIDER...` writes them
again.
"""

import inspect
import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from liushui.errors import WireError
from liushui.flow import Flow
from liushui.instant import to_iso
from liushui.money import to_plain_string
from liushui.provider import UNSERVABLE, Codec, Provider
from liushui.providers import get_provider

WIRE: Final = ".wire."
"""The part of an answer's file name before the extension."""
JSON: Final = ".json"
"""The ending of the file of an answer in JSON."""
FLOWS: Final = ".flows.json"


def samples_of(provider: Provider) -> Path:
    """Return the folder of a provider's golden pairs: `samples`, next to the module of its server."""
    return Path(inspect.getfile(type(provider.server))).parent / "samples"


def cases(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Every case of a folder: its name, the file of its answer, and the file of its flows, which may be missing."""
    for wire in sorted(folder.glob(f"*{WIRE}*")):
        name = wire.name.partition(WIRE)[0]
        yield name, wire, folder / f"{name}{FLOWS}"


def golden(codec: Codec, document: bytes) -> str:
    """Return a decoded answer as JSON: its rows in order, each as a flow or the reason for its rejection."""
    records = [_record(codec, row) for row in codec.extract_rows(document)]
    return msgspec.json.format(msgspec.json.encode(records), indent=2).decode() + "\n"


def flow_record(flow: Flow) -> dict[str, object]:
    """A flow as JSON: amounts as text, instants in ISO 8601. Fields with their default value are left out."""
    return {
        name: _value(value)
        for name, value in flow._asdict().items()
        if name not in Flow._field_defaults or value != Flow._field_defaults[name]
    }


def _record(codec: Codec, row: bytes) -> dict[str, object]:
    try:
        received = codec.read(row)
    except WireError as error:
        return {"rejected": str(error)}
    record: dict[str, object] = {"flow": flow_record(received.flow)}
    if received.served is not None:
        record["served"] = None if received.served == UNSERVABLE else msgspec.Raw(received.served)
    return record


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return to_iso(value)
    if isinstance(value, Decimal):
        return to_plain_string(value)
    if isinstance(value, tuple):
        return [_value(part) for part in value]
    return value


def main(names: list[str]) -> None:
    """Write the flows of every case of the named providers."""
    for name in names:
        provider = get_provider(name)
        for _, wire, flows in cases(samples_of(provider)):
            flows.write_text(golden(provider.codec, wire.read_bytes()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

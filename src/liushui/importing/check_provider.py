"""Checks that a file belongs to the provider that the user named, before an account or a ledger is created."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from liushui.errors import NotRepresentable, ProviderError, WireError, short_repr
from liushui.flow import Flow
from liushui.importing.files import UnusableFile
from liushui.importing.read_rows import mapped_file, rows_of_answer, splitter
from liushui.instant import EPOCH
from liushui.provider import Codec, Provider

STRANGE_MAX: Final = 20
"""The most unrecognised pieces that are kept, so that other providers can be tried on them."""
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_file(path: Path, provider: Provider, others: Sequence[Provider]) -> None:
    """Raise UnusableFile if a file cannot be opened or does not belong to this provider.

    A file belongs to the provider if one of its rows can be read. It also does if it has answers or rows in the
    provider's form, even if none can be read. A file without rows is accepted too, unless one of `others` finds rows in
    it. The file is read until this is decided, in most cases at its first row.
    """
    strange: list[bytes] = []
    has_form = False
    with mapped_file(path) as mapped:
        if mapped is None:
            return
        for pieces, batch, _ in splitter(mapped.data, provider.codec).split():
            if batch is not None:
                return
            for piece in pieces:
                try:
                    answer = rows_of_answer(piece, provider.codec)
                except ProviderError:
                    _check_others(path, provider, others, [piece])
                    raise
                rows = [piece] if answer is None else answer
                if any(_can_read(provider.codec, row) for row in rows):
                    return
                strange += islice([piece], max(0, STRANGE_MAX - len(strange)))
                has_form = has_form or answer is not None or _has_form_of(piece, provider)
    _check_others(path, provider, others, strange)
    if strange and not has_form:
        begin = short_repr(strange[0][:60].decode(errors="replace"))
        raise UnusableFile(path, f"expected answers or rows of {provider.name}, got {begin}")


def _check_others(path: Path, provider: Provider, others: Sequence[Provider], pieces: Sequence[bytes]) -> None:
    """Raise UnusableFile if another provider finds a row in the pieces."""
    for other in others:
        if any(_finds_row(other.codec, piece) for piece in pieces):
            raise UnusableFile(
                path,
                f"expected answers or rows of {provider.name}, got {other.name}'s: import it with "
                f"--provider {other.name}, into another account",
            )


def _finds_row(codec: Codec, piece: bytes) -> bool:
    try:
        rows = rows_of_answer(piece, codec)
    except ProviderError:
        return False
    return any(_can_read(codec, row) for row in ([piece] if rows is None else rows))


def _can_read(codec: Codec, row: bytes) -> bool:
    try:
        codec.read(row)
    except WireError:
        return False
    return True


def _has_form_of(piece: bytes, provider: Provider) -> bool:
    """Whether a piece has at least half of the fields that the provider's rows have."""
    names = _field_names(provider)
    return 2 * sum(b'"%b"' % name.encode() in piece for name in names) >= len(names) > 0


def _field_names(provider: Provider) -> Sequence[str]:
    """Return the field names of a row as the provider's codec writes it."""
    currency = min(provider.rules.currencies or {"USD"})
    try:
        return list(_fields.decode(provider.codec.write(Flow("0", EPOCH, Decimal("1.00"), currency))))
    except (NotRepresentable, msgspec.MsgspecError):
        return ()

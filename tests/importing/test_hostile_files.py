"""Files that are broken, huge or hostile: readable rows are imported, others are kept or refused, none is dropped."""

import gc
import resource
import sys
from pathlib import Path

import pytest

from liushui.errors import ConfigError
from liushui.importing import file_pieces
from liushui.importing.read_rows import documents
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.providers.longbridge import codec
from tests.importing.inputs import envelope, import_texts, new_ledger, row

A, B, C = row(1), row(2), row(3)


def pages(folder: Path, text: bytes) -> list[list[bytes]]:
    file = folder / "saved"
    file.write_bytes(text)
    return [
        [row for chunk in document.chunks for row in chunk.rows]
        for document in documents(file, codec, lambda _read: None)
    ]


# ---------------------------------------------------------------- one bad row hides no other


@pytest.mark.parametrize("broken", [A[:50], b"garbage", b'{"a": "b', b"}"])
def test_a_broken_first_line_hides_only_itself(tmp_path: Path, broken: bytes) -> None:
    assert pages(tmp_path, broken + b"\n" + B + b"\n" + C + b"\n") == [[broken, B, C]]


def test_pretty_printed_rows_are_not_lines(tmp_path: Path) -> None:
    pretty = A.replace(b",", b",\n  ").replace(b"{", b"{\n  ")
    assert pages(tmp_path, b"[" + pretty + b",\n" + B + b"]") == [[pretty, B]]
    assert pages(tmp_path, pretty) == [[pretty]]


@pytest.mark.parametrize("broken", [b'{"a":1]', b'{"a":[1,2]]', b'{"a" 1}', b"{}", b'"{"', b"tru"])
def test_a_broken_row_of_an_array_hides_only_itself(tmp_path: Path, broken: bytes) -> None:
    assert pages(tmp_path, b"[" + A + b"," + broken + b"," + B + b"]") == [[A, broken, B]]


def test_a_row_that_is_not_text_hides_only_itself(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in a field that the codec reads, and in one that it passes over."""
    known, unknown = A.replace(b'"x"', b'"\xff"'), B[:-1] + b',"more":"\xff"}'
    ledger = new_ledger(tmp_path / "ledger.db")
    imported = import_texts(ledger, tmp_path, [b"\n".join([known, unknown, C])])
    assert (imported.rows, imported.added, imported.rejected) == (3, 1, 2)
    with ledger.reading() as connection:
        kept = connection.exec_driver_sql("SELECT wire FROM quarantine").scalars().all()
    assert sorted(kept) == sorted([known, unknown])
    assert len(list(list_flows(ledger, FlowFilter()))) == 1
    ledger.close()


def test_zero_bytes_far_into_a_file_hide_only_their_row(tmp_path: Path) -> None:
    many = [row(second) for second in range(600)]
    broken = many[500].replace(b'"x"', b'"\0"')
    ledger = new_ledger(tmp_path / "ledger.db")
    imported = import_texts(ledger, tmp_path, [b"\n".join([*many[:500], broken, *many[501:]])])
    assert (imported.added, imported.rejected) == (599, 1)
    ledger.close()


# ---------------------------------------------------------------- nothing is dropped


def test_unreadable_input_that_is_too_long_is_refused_and_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_pieces, "PIECE_MAX", 1_000)
    long = b"x" * 1_001
    for text in (
        b"[" + A + b"]" + long,
        b"[" + A + b"," + long,
        b"[" + A + b"," + long + b"," + B + b"]",
        b"[" + long + b"]",
        A + b"\n" + long + b"\n" + B,
        long,
        envelope([A] * 10),
    ):
        with pytest.raises(ConfigError, match=r"saved: expected .*at most 1000 bytes"):
            pages(tmp_path, text)
    assert pages(tmp_path, b"[" + A + b"," + long[:1_000] + b"]") == [[A, long[:1_000]]]
    assert pages(tmp_path, b"[" + A + b"]" + long[:1_000]) == [[A, long[:1_000]]]


def test_every_byte_of_a_cut_file_is_accounted_for(tmp_path: Path) -> None:
    """Wherever a file was cut off, its whole rows come in, and what is left of the last one is kept."""
    whole = b"[" + b",".join([A, B, C]) + b"]"
    for end in range(2, len(whole)):
        found = [piece for page in pages(tmp_path, whole[:end]) for piece in page]
        between = whole[1:end].endswith((b"},", b"}]"))
        assert b",".join(found) == whole[1 : end - between]


@pytest.mark.parametrize("broken", [b'{"a":[1,2}', b'{"a":1}}', b'{"a":"1}'])
def test_a_bracket_or_quote_too_many_or_too_few_keeps_what_follows(tmp_path: Path, broken: bytes) -> None:
    found = [piece for page in pages(tmp_path, b"[" + A + b"," + broken + b"," + B + b"]") for piece in page]
    assert found[0] == A
    kept = b"".join(found[1:])
    assert all(part in kept for part in (broken[:-1], B))


def test_a_document_of_which_a_part_is_refused_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_pieces, "PIECE_MAX", 1_000)
    ledger = new_ledger(tmp_path / "ledger.db")
    with pytest.raises(ConfigError, match="at most 1000 bytes"):
        import_texts(ledger, tmp_path, [b"[" + A + b"]" + b"x" * 1_001])
    assert list(list_flows(ledger, FlowFilter())) == []
    ledger.close()


@pytest.mark.parametrize("before", [[], [envelope([A])], [A], [A, envelope([B])]])
def test_an_error_answer_among_others_is_said_of_its_file(tmp_path: Path, before: list[bytes]) -> None:
    error = b'{"code":401003,"message":"token expired"}'
    for text in (b"\n".join([*before, error]), b"[" + b",".join([*before, error]) + b"]"):
        with pytest.raises(ConfigError, match="saved: this is an error answer of the provider: token expired"):
            pages(tmp_path, text)


def test_a_file_may_be_left_half_read(tmp_path: Path) -> None:
    file = tmp_path / "saved"
    file.write_bytes(b"[" + b",".join([A, envelope([B]), C]) + b"]")
    walk = documents(file, codec, lambda _read: None)
    assert next(iter(next(iter(walk)).chunks)).rows == [A]
    del walk
    gc.collect()


# ---------------------------------------------------------------- what is hostile costs no more than it is long


@pytest.mark.parametrize("text", [b"x", b"\\n", b"\\\\", b"{", b'{}[],\\"', "文".encode()], ids=repr)
def test_a_long_string_costs_its_own_length(tmp_path: Path, text: bytes) -> None:
    # A parser that went back over the string for each of its parts would not finish before the test's timeout.
    long = row(1)[:-1] + b',"more":"' + text * (4_000_000 // len(text)) + b'"}'
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert pages(tmp_path, b"[" + long + b"," + B + b"]") == [[long, B]]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) * kibibytes() < 20 * len(long)


def kibibytes() -> int:
    """What ru_maxrss counts in, in bytes."""
    return 1 if sys.platform == "darwin" else 1_024


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'[{"a":' * 50_000, b"{" * 100_000], ids=["arrays", "both", "objects"]
)
def test_deep_nesting_is_kept_as_one_piece(tmp_path: Path, text: bytes) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    imported = import_texts(ledger, tmp_path, [b"[" + text])
    assert (imported.rows, imported.rejected, imported.quarantined) == (1, 1, 1)
    ledger.close()

"""Changes to JSON documents leave the rest unchanged."""

from collections.abc import Callable

import pytest

from liushui.simulate.faults import json_rewriting as rewriting
from liushui.simulate.faults.json_rewriting import EMPTY_LIST_MARKER, TOTAL_MARKER, fields_of, with_field

EMPTY = b"[%b]" % EMPTY_LIST_MARKER


def test_the_values_of_an_object_are_as_they_were_written() -> None:
    assert fields_of(b'{"a": 1.50, "b":"\\u00e9" }') == {"a": b"1.50", "b": b'"\\u00e9"'}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("a", b"2", b'{"a":2,"b":"x"}'),
        ("b", None, b'{"a":1.50}'),
        ("c", b"NaN", b'{"a":1.50,"b":"x","c":NaN}'),
        ("c", None, b'{"a":1.50,"b":"x"}'),
    ],
)
def test_a_field_has_another_value(name: str, value: bytes | None, expected: bytes) -> None:
    assert with_field(b'{"a": 1.50, "b": "x"}', name, value) == expected


@pytest.mark.parametrize(
    ("document", "message", "expected"),
    [
        (b'{"message":"ok","rows":[]}', None, b'{"rows":[]}'),
        (b'{"code":0, "msg" : "o\\"k"}', None, b'{"code":0}'),
        (b'{"code":0,"errmsg":"ok"}', b'"fine"', b'{"code":0,"errmsg":"fine"}'),
        (b'{"rows":[{"message":"ok"},NaN]}', None, b'{"rows":[{"message":"ok"},NaN]}'),
        (b'{"rows":["}",{"message":"ok"}],"message":"ok"}', None, b'{"rows":["}",{"message":"ok"}]}'),
        (b'[{"message":"ok"}]', None, b'[{"message":"ok"}]'),
    ],
)
def test_the_message_of_an_answer_is_rewritten(document: bytes, message: bytes | None, expected: bytes) -> None:
    assert rewriting.with_message(document, message) == expected


@pytest.mark.parametrize(
    ("rewrite", "document", "expected"),
    [
        (
            rewriting.whole_numbers_as_text,
            b'{"1": 1, "b": [-2, 1.5, 1e3]}',
            b'{"1": "1", "b": ["-2", 1.5, 1e3]}',
        ),
        (rewriting.whole_numbers_as_text, rb'{"a": "x \" 12 "}', rb'{"a": "x \" 12 "}'),
        (
            rewriting.numeric_text_as_numbers,
            b'{"1": "1", "b": ["-2", "07", "1.5"]}',
            b'{"1": 1, "b": [-2, "07", "1.5"]}',
        ),
        (rewriting.numeric_text_as_numbers, rb'{"a": "x \"12\""}', rb'{"a": "x \"12\""}'),
        (rewriting.numeric_text_as_numbers, b'["1234567890123456789"]', b'["1234567890123456789"]'),
        (rewriting.with_null_list, b'{"a":%b,"b":[]}' % EMPTY, b'{"a":null,"b":[]}'),
        (rewriting.without_list, b'{"a":%b,"b":[]}' % EMPTY, b'{"b":[]}'),
        (rewriting.without_list, b'{"b":[],"a":%b}' % EMPTY, b'{"b":[]}'),
        (rewriting.without_list, b'{"a":{"b":%b},"c":1}' % EMPTY, b'{"a":{},"c":1}'),
        (rewriting.without_list, EMPTY, b"[]"),
        (rewriting.without_total, b'{"n":%d,"m":1}' % TOTAL_MARKER, b'{"m":1}'),
    ],
)
def test_a_document_is_rewritten(rewrite: Callable[[bytes], bytes], document: bytes, expected: bytes) -> None:
    assert rewrite(document) == expected

"""Values as text: terminals and spreadsheets never act on them, and no character is lost."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.output_text import csv_cell, spreadsheet_text, terminal_json, terminal_text


@given(st.text())
def test_a_terminal_gets_no_character_that_it_acts_on(text: str) -> None:
    shown = terminal_text(text)
    assert not [
        char for char in shown if ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u061c\u200e\u200f\u2028\u2029"
    ]
    assert not [char for char in shown if "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"]


@given(st.text())
def test_json_on_a_terminal_is_the_same_value(text: str) -> None:
    shown = terminal_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(shown) == text
    assert terminal_text(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("paid \u202e00.1", r"paid \u202e00.1"),
        ("one\ntwo\r", r"one\ntwo\r"),
        ("工资 – ünïcode", "工资 – ünïcode"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert terminal_text(text) == shown


def test_lines_stay_lines_where_a_text_may_have_several() -> None:
    assert terminal_text("one\ntwo\r\n", lines=True) == "one\ntwo\\r\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_text_is_not_a_formula(start: str) -> None:
    assert csv_cell(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("text", ["", "rent", "'=1+1", " =1+1", "1=1"])
def test_other_texts_are_unchanged(text: str) -> None:
    assert spreadsheet_text(text) == text


def test_amounts_times_and_objects_in_csv() -> None:
    assert csv_cell(Decimal("-1.00")) == "-1.00"
    assert csv_cell(datetime(2025, 11, 1, tzinfo=UTC)) == "2025-11-01T00:00:00Z"
    assert csv_cell({"a": "=1"}) == '{"a":"=1"}'
    assert [csv_cell(value) for value in (None, True, False, -7)] == ["", "true", "false", -7]

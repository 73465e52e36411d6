"""Longbridge's names for movements of money: each means one kind, in every language, and none is ever missing."""

from collections import Counter

import pytest

from liushui.flow import Direction, Kind
from liushui.providers._longbridge.codec import KINDS, LABELS, LANGUAGES, label_for

SIDES = (Direction.IN, Direction.OUT)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("language", [*LANGUAGES, None])
def test_every_kind_has_a_name_that_means_it(kind: Kind, side: Direction, language: str | None) -> None:
    assert KINDS[label_for(kind, side, language)] is kind


def test_no_name_stands_for_two_movements() -> None:
    names = Counter(name for label in LABELS for name in set(label.names))
    assert [name for name, times in names.items() if times > 1] == []
    assert all(len(label.names) == len(LANGUAGES) for label in LABELS)


@pytest.mark.parametrize(
    ("accepted", "name"),
    [
        (None, "股票買入成交"),
        ("", "股票買入成交"),
        ("zh-HK", "股票買入成交"),
        ("zh-TW,zh;q=0.9", "股票買入成交"),
        ("fr", "股票買入成交"),
        ("*", "股票買入成交"),
        ("zh-CN", "股票买入成交"),
        ("zh-cn;q=0.8", "股票买入成交"),
        ("zh-Hans-CN, en", "股票买入成交"),
        (" en-US,zh-CN;q=0.5", "BuyContract-Stocks"),
        ("en", "BuyContract-Stocks"),
    ],
)
def test_the_language_asked_for_first(accepted: str | None, name: str) -> None:
    assert label_for(Kind.TRADE, Direction.OUT, accepted) == name

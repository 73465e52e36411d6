"""The cache is bounded by the rows of its values."""

from liushui.simulate.row_cache import ENTRY_ROWS, RowCache


def test_it_keeps_the_latest_values_within_its_rows() -> None:
    cache: RowCache[int, list[int]] = RowCache(rows_max=3 * (10 + ENTRY_ROWS))
    made: list[int] = []

    def value(key: int, rows: int = 10) -> list[int]:
        def make() -> list[int]:
            made.append(key)
            return [key] * rows

        return cache.get(key, make)

    for key in (1, 2, 3, 1, 4):
        assert value(key) == [key] * 10
    assert made == [1, 2, 3, 4]
    value(1)
    value(3)
    assert made == [1, 2, 3, 4]
    value(2)  # it was pushed out by 4, and now pushes that out
    value(4)
    assert made == [1, 2, 3, 4, 2, 4]
    value(5, rows=1_000)  # heavier than all there is room for: it stays alone
    value(5)
    assert made == [1, 2, 3, 4, 2, 4, 5]
    value(4)
    assert made[-1] == 4


def test_values_that_grow_later_do_not_break_the_count() -> None:
    cache: RowCache[int, list[int]] = RowCache(rows_max=30)
    for key in range(100):
        cache.get(key, list).extend(range(50))
    for key in (99, 98, 97, 96, 95, 94, 93):
        assert len(cache.get(key, list)) == 50

"""Filters, one by one and together: what is read is what has the value in the field that the rules name."""

from itertools import combinations
from typing import Final

import pytest

from liushui.errors import Refused
from liushui.rules import Filter
from liushui.testing.conformance.checks import Checks
from liushui.testing.conformance.ends import Ends, paged
from liushui.testing.conformance.ensure import ensure_same_rows
from liushui.testing.conformance.fields import value_of

VALUES_MAX: Final = 8
"""How many values of a filter that takes any text are tried."""
UNHEARD_OF: Final = "liushuiunheardof"


class FilterChecks(Checks):
    """Filters agree with what the rows say."""

    def test_filters_one_by_one(self, ends: Ends) -> None:
        for one in self._filters():
            seen = sorted({value_of(row, one.field) for row in ends.rows} - {""})
            for value in one.values or seen[:VALUES_MAX]:
                self._check(ends, {one: value})

    def test_filters_together(self, ends: Ends) -> None:
        filters = self._filters()
        for row in ends.within(ends.recent)[:20]:
            for some in (two for many in range(2, len(filters) + 1) for two in combinations(filters, many)):
                values = {one: value_of(row, one.field) for one in some}
                if all(value in (one.values or (value,)) and value for one, value in values.items()):
                    self._check(ends, values)

    def test_a_value_that_nobody_has_heard_of(self, ends: Ends) -> None:
        """It is refused, or nothing has it."""
        for one in self._filters():
            part = {one.parameter: UNHEARD_OF}
            try:
                rows = ends.ask(lambda client, part=part: paged(client, ends.recent, ends.size_max, part))  # type: ignore[misc]
            except Refused:
                continue
            ensure_same_rows(f"rows with {part}", rows, [])

    def test_a_parameter_that_nobody_has_heard_of_is_passed_over(self, ends: Ends) -> None:
        rows = ends.ask(lambda client: paged(client, ends.recent, ends.size_max, {UNHEARD_OF: "1"}))
        ensure_same_rows("rows with an unknown parameter", rows, ends.within(ends.recent))

    def _filters(self) -> tuple[Filter, ...]:
        if not self.provider.rules.filters:
            pytest.skip("nothing can be filtered")
        return self.provider.rules.filters

    def _check(self, ends: Ends, values: dict[Filter, str]) -> None:
        part = {one.parameter: value for one, value in values.items()}
        expected = [
            row
            for row in ends.within(ends.recent)
            if all(value_of(row, one.field) == value for one, value in values.items())
        ]
        rows = ends.ask(lambda client: paged(client, ends.recent, ends.size_max, part))
        ensure_same_rows(f"rows with {part}", rows, expected)

"""Checks the balance chain of one subaccount and currency: whether each stated balance follows from the one before.

Rows are sorted by time. Rows of one instant are put in order by their balances. If no order fits, rows within a time
window are tried together, because a provider may book rows in an order that differs from their time stamps. If that
fails too, the chain breaks between two rows, and the difference is known exactly.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence, Set
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import combinations
from operator import eq
from typing import Any, Final, NamedTuple

from liushui.money import EXACT, ZERO
from liushui.reconcile.balance_order import Edge, edge_of, excess, find_trail, free_start
from liushui.rules import BALANCE_RULES, BalanceRules

LOOSE_MAX: Final = 10
"""The most rows without a balance whose sums are tried to fill a gap between rows with a balance."""
BREAKS_WITH_WINDOW: Final = 100
"""A chain with more breaks than this does not hold at all. After that no window is tried, because trying takes long."""
STARTS_TRIED: Final = 8
"""The number of balances that are tried as the beginning of a chain."""
COPIES_TRIED: Final = 8
"""The number of duplicate rows that are tried without one of their copies."""


RowKey = tuple[int, str]
"""The time of a row, in microseconds since the epoch, and its id."""


class ChainRow(NamedTuple):
    """A row of a chain. `at_us` is in microseconds since the epoch."""

    at_us: int
    id: str
    amount: Decimal
    balance_after: Decimal | None

    @property
    def key(self) -> RowKey:
        """The row's key within the account."""
        return self.at_us, self.id


class RowColumns(NamedTuple):
    """Rows of a chain, by time and id, as one sequence for each field. Checking columns is faster than making a
    ChainRow of each row."""

    at_us: Sequence[int]
    ids: Sequence[str]
    amounts: Sequence[Decimal]
    balances: Sequence[Decimal | None]

    def row(self, index: int) -> ChainRow:
        """Return one of the rows."""
        return ChainRow(self.at_us[index], self.ids[index], self.amounts[index], self.balances[index])

    def rows(self, begin: int, end: int) -> list[ChainRow]:
        """Return the rows with these indexes."""
        return [self.row(index) for index in range(begin, end)]

    def end_of_instant(self, begin: int) -> int:
        """Return the index after the last row of the instant that begins at an index."""
        return bisect_right(self.at_us, self.at_us[begin], begin) if begin < len(self.at_us) else begin

    def befores(self) -> Sequence[object]:
        """Return the balance before each row; for a row without a balance, a value that equals no balance."""
        subtract = EXACT.subtract
        try:  # because comparing amounts with None is slower
            return list(map(subtract, self.balances, self.amounts))  # type: ignore[arg-type] # an error where one is None
        except TypeError:
            return [
                _NO_BALANCE if after is None else subtract(after, amount)
                for after, amount in zip(self.balances, self.amounts, strict=True)
            ]


_NO_BALANCE: Final = object()


class BreakCause(StrEnum):
    """The simplest explanation of a break."""

    MISSING = "missing"
    """An amount of the difference is missing between the two rows, or the amount of the second is off by it."""
    TWICE = "twice"
    """A row is there twice: without one copy, the chain holds."""
    WRONG_BALANCE = "wrong_balance"
    """The balance that a row states is off by the difference. Its amount and the amounts of its neighbours are
    right."""
    OUT_OF_PLACE = "out_of_place"
    """A row is in the wrong place: without it, the chain holds."""
    RESTATED = "restated"
    """An earlier version of a row fits: the provider has restated the row since."""


class Break(NamedTuple):
    """A break of a chain: row `after` follows row `before`. The balance should be `expected`, but `after` implies the
    balance `stated`. `rows`: the rows that may be wrong; equal rows are grouped. `before` None: the break is at the
    beginning of the chain."""

    before: RowKey | None
    after: RowKey
    expected: Decimal
    stated: Decimal
    cause: BreakCause = BreakCause.MISSING
    rows: tuple[RowKey, ...] = ()

    @property
    def difference(self) -> Decimal:
        """The missing amount: the balance before the second row minus the balance after the first."""
        return EXACT.subtract(self.stated, self.expected)


Instant = Sequence[ChainRow]
"""The rows of one instant, by id."""


WALKED_MAX: Final = 8
"""Up to this number, rows of an instant are put in order by following them one by one, which is faster for few rows."""


def _walk(rows: Instant, balance: Decimal) -> list[ChainRow] | None:
    """Walk from a balance, always taking the first row that follows; return the walk if it takes all rows. `find_trail`
    returns the same trail, because no trail has smaller indexes."""
    if len(rows) > WALKED_MAX:
        return None
    left, walk = list(rows), []
    while left:
        for index, row in enumerate(left):
            if row.balance_after is None:
                return None
            if EXACT.subtract(row.balance_after, row.amount) == balance:
                balance = row.balance_after
                walk.append(row)
                del left[index]
                break
        else:
            return None
    return walk


class ChainChecker:
    """Checks a chain while its rows arrive. It keeps only the rows of a window in memory."""

    def __init__(
        self,
        rules: BalanceRules = BALANCE_RULES,
        balance: Decimal | None = None,
        last: ChainRow | None = None,
        *,
        keep_order: bool = False,
    ) -> None:
        """`balance` is the known balance before the first row, and `last` the row that stated it.

        `keep_order`: collect all rows in the order of the chain.
        """
        self.order: list[ChainRow] | None = [] if keep_order else None
        """The rows so far, in the order of the chain. None: the order is not kept."""
        self._rules = rules
        self._window_us = rules.window // timedelta(microseconds=1)
        self.balance = balance
        """The balance after the rows so far. None: none was stated yet."""
        self.opening = balance
        """The balance before the first row. None: not known yet."""
        self.last = last
        """The last row in the chain so far."""
        self.breaks: list[Break] = []
        self.reordered = 0
        """The number of rows whose order by balances differs from their order by time."""
        self.stated = 0
        """The number of rows that state a balance."""
        self._unstated = ZERO
        """The sum of the rows before the first row that states a balance."""
        self._recent: deque[tuple[Instant, Decimal, ChainRow | None]] = deque()
        """Instants of the window that are in the chain, each with the balance and the row before it."""
        self._pending: list[Instant] = []
        """Instants that do not follow, or do not follow yet."""

    @property
    def is_pending(self) -> bool:
        """Whether rows wait for others of their window."""
        return bool(self._pending)

    def add(self, rows: Instant) -> None:
        """Add all rows of the next instant, sorted by id."""
        if not self._pending and self._follow(rows):
            return
        self._pending.append(rows)
        self._reconsider()

    def add_all(self, rows: Sequence[ChainRow]) -> None:
        """Add all rows of any number of further instants, sorted by time and id."""
        if rows:
            self.add_columns(RowColumns(*zip(*rows, strict=True)))

    def add_columns(self, columns: RowColumns) -> None:
        """Do the same as `add_all` for rows in columns."""
        # Rows are compared in bulk, because nearly all of them follow from the one before, and a loop takes several
        # times as long.
        columns, befores, follows = _put_pairs_in_order(columns, self.balance)
        begin, end = 0, len(befores)
        while begin < end:
            begin = self._follow_one_by_one(columns, befores, follows, begin)
            after = columns.end_of_instant(begin)
            if begin < after:
                self.add(sorted(columns.rows(begin, after)))
            begin = after

    def finish(self) -> None:
        """End the chain: no further rows follow."""
        while self._pending:
            self._settle()

    # ------------------------------------------------------------ what follows

    def _follow_one_by_one(
        self, columns: RowColumns, befores: Sequence[object], follows: Sequence[bool], begin: int
    ) -> int:
        """Add rows from an index on, as long as each follows from the one before. Returns the index of the first other
        instant.

        It has the same effect as `add`, in a fraction of the time.
        """
        if begin == len(befores) or self.balance is None or self._pending or befores[begin] != self.balance:
            return begin
        try:
            end = follows.index(False, begin + 1)
        except ValueError:
            end = len(befores)
        else:  # rows of one instant are put in order together
            while end > begin and columns.at_us[end - 1] == columns.at_us[end]:
                end -= 1
        if end > begin:
            self._remember_all(columns, begin, end)
            self.stated += end - begin
            if self.order is not None:
                self.order += columns.rows(begin, end)
            self.balance, self.last = columns.balances[end - 1], columns.row(end - 1)
        return end

    def _remember_all(self, columns: RowColumns, begin: int, end: int) -> None:
        """Keep those of the added rows that later rows may have to be tried with."""
        first = bisect_left(columns.at_us, columns.at_us[end - 1] - self._window_us, begin, end)
        if first > begin:
            self._recent.clear()
            self.balance, self.last = columns.balances[first - 1], columns.row(first - 1)
        while first < end:
            after = columns.end_of_instant(first)
            self._remember(sorted(columns.rows(first, after)))
            self.balance, self.last = columns.balances[after - 1], columns.row(after - 1)
            first = after

    def _follow(self, rows: Instant) -> bool:
        """Whether an instant follows in the chain; if so, it is added."""
        if len(rows) == 1:  # nearly every instant
            row = rows[0]
            if row.balance_after is None:
                self._advance_by(row)
                return True
            before = EXACT.subtract(row.balance_after, row.amount)
            if self.balance is None:
                self._begin(before)
            elif before != self.balance and not self._is_close(before, self.balance):
                return False
            self._remember(rows)
            self.stated += 1
            if self.order is not None:
                self.order.append(row)
            self.balance, self.last = row.balance_after, row
            return True
        if self.balance is not None and (walk := _walk(rows, self.balance)) is not None:
            self._advance([rows], walk, walk[-1].balance_after or ZERO)
            return True
        order = self._order(rows, self.balance)
        if order is None:
            return False
        trail, end = order
        if self.balance is None:
            if all(row.balance_after is None for row in rows):
                for row in rows:
                    self._advance_by(row)
                return True
            start = self._free_start(rows)
            if start is None:
                return False  # rows with a sum of zero: the following rows show where they begin
            self._begin(start)
        self._advance([rows], trail, end)
        return True

    def _begin(self, start: Decimal) -> None:
        self.balance = start
        self.opening = EXACT.subtract(start, self._unstated)

    def _advance_by(self, row: ChainRow) -> None:
        """Add a row without a balance: its amount is added to the last balance."""
        if self.balance is None:
            self._unstated = EXACT.add(self._unstated, row.amount)
            if self.order is not None:
                self.order.append(row)
        else:
            self._advance([[row]], [row], EXACT.add(self.balance, row.amount))

    def _advance(self, instants: Sequence[Instant], trail: Sequence[ChainRow], end: Decimal) -> None:
        """Append instants to the chain: `trail` are their rows in order."""
        self._remember(instants[0] if len(instants) == 1 else [row for rows in instants for row in rows])
        self.stated += sum([row.balance_after is not None for row in trail])
        if self.order is not None:
            self.order += trail
        self.balance, self.last = end, trail[-1]

    def _remember(self, rows: Instant) -> None:
        """Keep added rows as long as later rows may have to be tried with them."""
        if self.balance is None:
            return
        recent = self._recent
        begin_us = rows[-1].at_us - self._window_us
        while recent and recent[0][0][0].at_us < begin_us:
            recent.popleft()
        recent.append((rows, self.balance, self.last))

    def _is_close(self, one: Decimal, other: Decimal) -> bool:
        if one == other:
            return True
        tolerance = self._rules.tolerance
        return bool(tolerance) and abs(EXACT.subtract(one, other)) <= tolerance

    # ------------------------------------------------------------ order within an instant or a window

    def _order(self, rows: Sequence[ChainRow], start: Decimal | None) -> tuple[list[ChainRow], Decimal] | None:
        """Return the rows in the order of a trail from `start`, and the balance after them. `start` None: the trail
        begins at the only possible balance."""
        stated = [row for row in rows if row.balance_after is not None]
        if len(stated) < len(rows):
            return self._order_mixed(rows, stated, start)
        edges = self._edges(stated, start)
        trail = find_trail(edges, start)
        if trail is None:
            return None
        return [stated[index] for index in trail], edges[trail[-1]].after if trail else start or ZERO

    def _order_mixed(
        self, rows: Sequence[ChainRow], stated: Sequence[ChainRow], start: Decimal | None
    ) -> tuple[list[ChainRow], Decimal] | None:
        """Do the same for rows of which some state no balance. These rows fill the gaps, and the rest comes last."""
        loose = [row for row in rows if row.balance_after is None]
        if not stated:
            total = start or ZERO
            for row in loose:
                total = EXACT.add(total, row.amount)
            return loose, total
        edges = self._edges(stated, start)
        begin = start if start is not None else self._free_start(stated)
        if begin is None:
            return None
        order: list[ChainRow] = []
        balance = begin
        for piece in _pieces(edges, begin, None):
            first = edges[piece[0]].before
            filling = _subset(loose, EXACT.subtract(first, balance))
            if filling is None:
                return None
            order += filling
            loose = [row for row in loose if row not in filling]
            order += [stated[index] for index in piece]
            balance = edges[piece[-1]].after
        for row in loose:
            balance = EXACT.add(balance, row.amount)
        return [*order, *loose], balance

    def _edges(self, rows: Sequence[ChainRow], start: Decimal | None) -> list[Edge]:
        """Return the edges of rows that state balances. Balances that differ by at most the tolerance count as
        equal."""
        edges = [edge_of(row.amount, row.balance_after or ZERO) for row in rows]
        tolerance = self._rules.tolerance
        if not tolerance:
            return edges
        same: dict[Decimal, Decimal] = {}
        last: Decimal | None = None
        fixed = () if start is None else (start,)
        for balance in sorted({*fixed, *(balance for edge in edges for balance in edge)}):
            is_same = last is not None and EXACT.subtract(balance, last) <= tolerance
            same[balance] = same[last] if is_same and last is not None else balance
            last = balance
        if start is not None:  # the known balance names its group
            group = same[start]
            same = {balance: start if name == group else name for balance, name in same.items()}
        return [Edge(same[before], same[after]) for before, after in edges]

    def _free_start(self, rows: Sequence[ChainRow]) -> Decimal | None:
        return free_start(self._edges([row for row in rows if row.balance_after is not None], None))

    # ------------------------------------------------------------ what does not follow

    def _reconsider(self) -> None:
        """Try the waiting instants together, or give up if they span more than a window."""
        rows = [row for instant in self._pending for row in instant]
        if self.balance is None and self._find_beginning(rows):
            return
        is_long = rows[-1].at_us - rows[0].at_us > self._window_us or len(rows) > self._rules.window_rows
        if is_long or len(self.breaks) >= BREAKS_WITH_WINDOW:
            self._settle()
            return
        if self.balance is None:
            return
        order = self._order(rows, self.balance)
        if order is not None:
            if len(self._pending) > 1:
                self.reordered += len(rows)
            self._take_pending(order)
            return
        begin_us = self._pending[0][0].at_us - self._window_us
        while self._recent and self._recent[0][0][0].at_us < begin_us:
            self._recent.popleft()
        if not self._recent:
            return
        before = [row for instant, _, _ in self._recent for row in instant]
        if len(before) + len(rows) > self._rules.window_rows:
            return
        _, balance, last = self._recent[0]
        order = self._order(before + rows, balance)
        if order is not None:
            self.reordered += len(before) + len(rows)
            self.stated -= sum(row.balance_after is not None for row in before)
            if self.order is not None:
                del self.order[-len(before) :]
            self.balance, self.last = balance, last
            self._recent.clear()
            self._take_pending(order)

    def _find_beginning(self, rows: Sequence[ChainRow]) -> bool:
        """Whether to wait on: the chain begins now, or its rows have a sum of zero so far, in some order."""
        if len(rows) > self._rules.window_rows:
            return False
        edges = self._edges([row for row in rows if row.balance_after is not None], None)
        start = free_start(edges)
        if find_trail(edges, start) is None:
            return False
        if start is not None:
            self._begin(start)
            instants, self._pending = self._pending, []
            for instant in instants:
                self.add(instant)
        return True

    def _take_pending(self, order: tuple[list[ChainRow], Decimal]) -> None:
        instants, self._pending = self._pending, []
        self._advance(instants, *order)

    def _settle(self) -> None:
        """Decide where the waiting instants break the chain. Those after the first are tried again."""
        first, *rest = self._pending
        following = rest[0] if rest else ()
        if self.balance is None:
            self._begin(self._best_start(first, following))
        breaks, order, end = self._explain(first, following)
        within = [instant for instant in rest if instant[0].at_us - first[0].at_us <= self._window_us]
        if within and len(breaks) > 1 and len(self.breaks) < BREAKS_WITH_WINDOW:
            # Fewer breaks may explain the whole window than this instant.
            every = [row for instant in [first, *within] for row in instant]
            if len(every) <= self._rules.window_rows:
                after = rest[len(within)] if len(rest) > len(within) else ()
                fewer, every_order, every_end = self._explain(every, after)
                if len(fewer) < len(breaks):
                    breaks, order, end, rest = fewer, every_order, every_end, rest[len(within) :]
        self.breaks += breaks
        self._pending = []
        self._recent.clear()
        self._advance([first], order, end)
        self._recent.clear()
        for instant in rest:
            self.add(instant)

    def _best_start(self, rows: Instant, following: Instant) -> Decimal:
        """Return the balance before the first instant of a chain that causes the fewest breaks."""
        edges = self._edges([row for row in rows if row.balance_after is not None], None)
        following_starts = self._starts_of(following)
        starts = [balance for balance, count in excess(edges).items() if count > 0]
        if not starts:  # rows with a sum of zero: they begin where they end, and the next rows begin there
            befores = dict.fromkeys(edge.before for edge in edges)
            starts = [balance for balance in befores if balance in (following_starts or ())] or list(befores)
        costs = {}
        for start in starts[:STARTS_TRIED]:
            self.balance = start
            breaks, _, end = self._explain(rows, following)
            is_followed = following_starts is None or end in following_starts
            # A duplicate row explains itself, but a missing amount could be anything.
            missing = sum(one.cause is BreakCause.MISSING for one in breaks)
            costs[start] = len(breaks) + (not is_followed), missing
        self.balance = None
        return min(costs, key=lambda start: costs[start], default=edges[0].before)

    def _explain(self, rows: Sequence[ChainRow], following: Instant) -> tuple[list[Break], list[ChainRow], Decimal]:
        """Return the breaks of rows that do not follow, the rows in an order with as few breaks as possible, and the
        balance at its end."""
        balance = self.balance or ZERO
        stated = [row for row in rows if row.balance_after is not None]
        loose = [row for row in rows if row.balance_after is None]
        edges = self._edges(stated, balance)
        copy = None if loose else _surplus_copy(edges, balance)
        if copy is not None:
            index, trail = copy
            alike = tuple(stated[other].key for other, edge in enumerate(edges) if edge == edges[index])
            order = [stated[other] for other in trail]
            end = edges[trail[-1]].after if trail else balance
            position = next((at for at, other in enumerate(trail) if edges[other] == edges[index]), len(trail) - 1)
            previous = order[position] if order else self.last
            edge = edges[index]
            before = None if previous is None else previous.key
            twice = Break(before, stated[index].key, edge.after, edge.before, BreakCause.TWICE, alike)
            return [twice], order or [stated[index]], end
        breaks = []
        order = []
        last, expected = self.last, balance
        beginning_at: defaultdict[Decimal, list[RowKey]] = defaultdict(list)
        for row, edge in zip(stated, edges, strict=True):
            beginning_at[edge.before].append(row.key)
        for piece in _pieces(edges, balance, self._starts_of(following)):
            first, begin = stated[piece[0]], edges[piece[0]].before
            filling = _subset(loose, EXACT.subtract(begin, expected))
            if filling is None:
                suspects = tuple(beginning_at[begin])
                before = None if last is None else last.key
                breaks.append(Break(before, first.key, expected, begin, BreakCause.MISSING, suspects))
            else:
                order += filling
                loose = [row for row in loose if row not in filling]
            order += [stated[index] for index in piece]
            last, expected = stated[piece[-1]], edges[piece[-1]].after
        for row in loose:
            expected = EXACT.add(expected, row.amount)
        return breaks, [*order, *loose], expected

    def _starts_of(self, rows: Instant) -> set[Decimal] | None:
        """Return the balances at which the rows of the next instant may begin. None: not known."""
        edges = self._edges([row for row in rows if row.balance_after is not None], None)
        if not edges:
            return None
        start = free_start(edges)
        return {edge.before for edge in edges} if start is None else {start}


def _put_pairs_in_order(
    columns: RowColumns, balance: Decimal | None
) -> tuple[RowColumns, Sequence[object], Sequence[bool]]:
    """Return rows in which the pairs of one instant, such as a receipt and its fee, follow each other, if they do.

    Also returns the balance before each row, and whether each row follows from the one before it (the first from
    `balance`).
    """
    befores = list(columns.befores())
    at_us, balances = columns.at_us, columns.balances
    follows = list(map(eq, befores, [balance, *balances]))
    try:
        index = follows.index(False)
    except ValueError:
        return columns, befores, follows
    fields: list[list[Any]] = [list(values) for values in columns]
    swapped = RowColumns(*fields)
    balances = swapped.balances
    end = len(befores)
    while True:
        second = index + 1
        if (
            second < end
            and at_us[index] == at_us[second]
            and befores[second] == (balances[index - 1] if index else balance)
            and befores[index] == balances[second]
            and (second + 1 == end or at_us[second + 1] != at_us[index])
            and (index == 0 or at_us[index - 1] != at_us[index])
        ):
            for values in (befores, *fields):
                values[index], values[second] = values[second], values[index]
            follows[index] = follows[second] = True
            if second + 1 < end:
                follows[second + 1] = befores[second + 1] == balances[second]
        try:
            index = follows.index(False, second)
        except ValueError:
            return swapped, befores, follows


def order_rows(rows: Sequence[ChainRow], rules: BalanceRules = BALANCE_RULES) -> list[ChainRow]:
    """Return rows of one chain, sorted by time and id, in the order of their balances, as far as these determine it.

    A duplicate row comes after the row that it equals.
    """
    checker = ChainChecker(rules, keep_order=True)
    checker.add_all(rows)
    checker.finish()
    order = checker.order or []
    if len(order) == len(rows):
        return order
    held = {row.key for row in order}
    for row in rows:
        if row.key not in held:
            alike = [at for at, other in enumerate(order) if other[2:] == row[2:] and other.at_us == row.at_us]
            here = [at for at, other in enumerate(order) if other.at_us <= row.at_us]
            order.insert((alike or here or [-1])[-1] + 1, row)
    return order


def _subset(loose: Sequence[ChainRow], gap: Decimal) -> list[ChainRow] | None:
    """Return the fewest rows without a balance whose sum fills a gap. None: no rows do."""
    if not gap:
        return []
    few = loose[:LOOSE_MAX]
    for size in range(1, len(few) + 1):
        for rows in combinations(few, size):
            total = ZERO
            for row in rows:
                total = EXACT.add(total, row.amount)
            if total == gap:
                return list(rows)
    return None


def _surplus_copy(edges: Sequence[Edge], start: Decimal) -> tuple[int, list[int]] | None:
    """Find one of several equal edges without which the others are a trail; return it and that trail. None: no such
    edge."""
    counts = excess(edges)
    counts[start] = counts.get(start, 0) - 1
    tried = 0
    for edge, copies in Counter(edges).items():
        if copies < 2 or edge.before == edge.after:
            continue
        if counts.get(edge.before, 0) < 1 or counts.get(edge.after, 0) > -1:
            continue
        index = max(number for number, other in enumerate(edges) if other == edge)
        trail = find_trail([*edges[:index], *edges[index + 1 :]], start)
        if trail is not None:
            return index, [other + (other >= index) for other in trail]
        tried += 1
        if tried == COPIES_TRIED:
            break
    return None


def _pieces(edges: Sequence[Edge], start: Decimal, next_starts: set[Decimal] | None) -> list[list[int]]:
    """Return the edges as few trails, if possible in an order that begins at `start` and ends where the next rows
    begin."""
    counts = excess(edges)
    counts[start] = counts.get(start, 0) - 1
    following = next_starts or set()
    parts = _connected_parts(edges)
    parts.sort(key=lambda part: (edges[part[0]].before != start and start not in _balances(edges, part), part[0]))
    pieces_of = [_pieces_of_part([edges[index] for index in part], start, counts, following) for part in parts]
    every = [
        [[part[index] for index in piece] for piece in pieces] for part, pieces in zip(parts, pieces_of, strict=True)
    ]
    # The part that ends where the next rows begin comes last, unless it is the part at the start.
    tail = [pieces for pieces in every[1:] if edges[pieces[-1][-1]].after in following][-1:]
    others = [pieces for pieces in every if pieces not in tail]
    return [piece for pieces in [*others, *tail] for piece in pieces]


def _balances(edges: Sequence[Edge], part: Sequence[int]) -> set[Decimal]:
    return {balance for index in part for balance in edges[index]}


def _connected_parts(edges: Sequence[Edge]) -> list[list[int]]:
    """The indexes of connected edges, regardless of their direction."""
    around: dict[Decimal, list[int]] = {}
    for index, edge in enumerate(edges):
        for balance in edge:
            around.setdefault(balance, []).append(index)
    part_of: dict[int, int] = {}
    parts: list[list[int]] = []
    for index in range(len(edges)):
        if index in part_of:
            continue
        part_of[index] = len(parts)
        part, look = [index], [index]
        while look:
            for balance in edges[look.pop()]:
                for other in around.pop(balance, ()):
                    if other not in part_of:
                        part_of[other] = len(parts)
                        part.append(other)
                        look.append(other)
        parts.append(sorted(part))
    return parts


def _pieces_of_part(
    edges: Sequence[Edge], start: Decimal, counts: Mapping[Decimal, int], following: Set[Decimal]
) -> list[list[int]]:
    """Return connected edges as few trails. The first begins at `start` if that is among their balances.

    A gap between two trails is an edge like the others: with all gaps the edges are one trail.
    """
    first = {edge.before: index for index, edge in reversed(list(enumerate(edges)))}
    last = {edge.after: index for index, edge in enumerate(edges)}
    balances = {balance for edge in edges for balance in edge}
    begins = [balance for balance in balances for _ in range(counts.get(balance, 0))]
    ends = [balance for balance in balances for _ in range(-counts.get(balance, 0))]
    begins.sort(key=lambda balance: (first[balance], balance))
    ends.sort(key=lambda balance: (balance in following, last.get(balance, -1), balance))
    if start in balances:
        begins.insert(0, start)
    elif not begins:  # a circuit, which may begin anywhere
        common = sorted(balances & following)
        begins = [common[0] if common else edges[0].before]
        ends = list(begins)
    gaps = [Edge(before, after) for before, after in zip(ends, begins[1:], strict=False)]
    trail = find_trail([*edges, *gaps], begins[0])
    if trail is None:
        raise AssertionError("with the gaps, connected edges are a trail")
    pieces: list[list[int]] = [[]]
    for index in trail:
        if index < len(edges):
            pieces[-1].append(index)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def explain(breaks: Sequence[Break]) -> list[Break]:
    """Return the breaks, with one explanation for neighbouring breaks: two breaks around one row are often about that
    row."""
    explained = list(breaks)
    for index in range(len(explained) - 1):
        one, other = explained[index], explained[index + 1]
        if one.cause is not BreakCause.MISSING or other.cause is not BreakCause.MISSING or other.before != one.after:
            continue
        if EXACT.add(one.difference, other.difference) == 0:
            cause = BreakCause.WRONG_BALANCE
        elif one.expected == other.stated:
            cause = BreakCause.OUT_OF_PLACE
        else:
            continue
        explained[index] = one._replace(cause=cause, rows=(one.after,))
        explained[index + 1] = other._replace(cause=cause, rows=(one.after,))
    return explained

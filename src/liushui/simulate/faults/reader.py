"""A FlowReader over the world, for a provider whose rows appear late, change, disappear or cannot be decoded.

It also serves the true rows. The simulator publishes them on a path of its own.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple

import msgspec

from liushui.conditions import matches
from liushui.errors import ConfigError, WireError, short_repr
from liushui.flow import Flow
from liushui.http import Request, Response
from liushui.instant import EPOCH, MAX_INSTANT, MIN_INSTANT, parse_instant, to_us
from liushui.provider import FlowPage, FlowQuery, FlowReader, Key, Provider, RateCheck
from liushui.rules import Rate
from liushui.simulate.encoded_day import RowPosition, position_of
from liushui.simulate.faults.deviations import DEVIATIONS
from liushui.simulate.faults.profiles import MISCOUNT_SPAN, RATE_BASE, Profile
from liushui.simulate.faults.row_lifecycle import RowVersion, corrupted, row_versions_of
from liushui.simulate.random_draw import seeded_random
from liushui.simulate.reader import WorldReader

MISCOUNT_MAX: Final = 3
"""The largest error of a wrong total, in rows."""
FLOWS_MAX: Final = 50_000
"""The most flows of an account with faults: all its row versions are held in memory."""
LIVE_FOR: Final = timedelta(days=30)
"""How long a live world continues after its simulator started."""

TRUTH_PATH: Final = "/simulator/truth"

NO_DELAY: Final = timedelta(0)

_JSONL: Final = [("content-type", "application/jsonl")]
_PROBLEM: Final = [("content-type", "application/problem+json")]

_AccountRow = tuple[str, RowVersion]
"""An account, and one of its rows."""


class Truth(NamedTuple):
    """The state that a reader has after reading everything, oldest first."""

    rows: list[bytes]
    """The rows as the provider writes them, including those that cannot be decoded."""
    flows: list[Flow]
    """The flows of the rows that can be decoded."""
    rejected: list[bytes]
    """The rows that cannot be decoded."""


class LifecycleReader:
    """A FlowReader of accounts whose rows change. The seed and the clock determine which rows exist.

    Another reader provides keys, rates, sessions and the clock. An account's rows are generated at the first read and
    held in memory. A page scans every row of its range, which is fast enough for FLOWS_MAX rows. Thread-safe.
    """

    def __init__(
        self,
        reader: FlowReader,
        flows: Callable[[str], Iterable[Flow]],
        providers: Mapping[str, Provider],
        *,
        profile: Profile,
        seed: int,
        row_clock_delay: timedelta = NO_DELAY,
    ) -> None:
        """`flows` returns the true flows of an account, oldest first. `providers` maps the account's name to its
        provider. Rows change by a clock that is `row_clock_delay` behind the reader's clock."""
        self._reader, self._flows, self._providers = reader, flows, providers
        self._profile, self._seed, self._row_clock_delay = profile, seed, row_clock_delay
        self._versions: dict[str, list[RowVersion]] = {}
        self._rows: dict[tuple[int, str | None], bytes] = {}
        """Cached rows of versions, by language: a client that meets faults reads most rows several times."""
        self._read: dict[tuple[int, str | None], tuple[bytes, Flow | None]] = {}
        self._lock = Lock()

    def now(self) -> datetime:
        return self._reader.now()

    def find_key(self, dialect: str, public: str) -> Key | None:
        return self._reader.find_key(dialect, public)

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        return self._reader.admit(key, rate, what)

    def session_start(self, key: Key, life: timedelta) -> datetime:
        return self._reader.session_start(key, life)

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        """One page of the rows that are there now.

        `write` must depend only on the provider and the query's language, because the language is part of the cache's
        key.
        """
        del dialect  # each account is read in its own provider's dialect
        matching = self._matching(query)
        if query.newest:
            matching.reverse()
        if query.after:
            after = position_of(query.after)
            matching = [row for row in matching if (_position(row) < after if query.newest else _position(row) > after)]
        page = matching[query.offset : query.offset + query.limit]
        has_more = query.after is not None and len(matching) > query.offset + query.limit
        end = _position(page[-1]).to_cursor() if has_more and page else None
        if query.newest and query.ascending:
            page.reverse()
        rows = [
            self._encoded(version, self._providers[account], query.language, write)
            for account, version in page
            if not query.visible or matches(version.flow, query.visible)
        ]
        return FlowPage(b",".join(rows), len(rows), end)

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        del accounts, since, until  # nothing is missing
        return True

    def count_flows(self, query: FlowQuery) -> int:
        """Return the number of rows on all pages. In some spans of time the number is wrong on purpose."""
        total = len(self._matching(query))
        span = (self._row_time(self.now()) - EPOCH) // MISCOUNT_SPAN
        random = seeded_random("count", self._seed, query.accounts, span)
        is_wrong = random.randrange(RATE_BASE) < self._profile.miscounts
        error = random.randint(1, MISCOUNT_MAX) * random.choice((-1, 1))
        return max(0, total + error) if is_wrong else total

    def truth(
        self, account: str, since: datetime, until: datetime, at: datetime, *, language: str | None = None
    ) -> Truth:
        """Return the rows that a complete read of [since, until) of an account would give at an instant of the reader's
        clock.

        Rows that are not yet published, or that are no longer kept, are left out. Raises ConfigError for an unknown
        account.
        """
        provider = self._providers.get(account)
        if provider is None:
            raise ConfigError(f"account: expected {' or '.join(self._providers)}, got {short_repr(account)}")
        begin, end = provider.rules.readable(at)
        if provider.rules.publish is None:
            end = until
        truth = Truth([], [], [])
        for version in self._present(account, max(since, begin), min(until, end), at):
            row, flow = self._as_read(version, provider, language)
            truth.rows.append(row)
            if flow is None:
                truth.rejected.append(row)
            else:
                truth.flows.append(flow)
        return truth

    def _as_read(self, version: RowVersion, provider: Provider, language: str | None) -> tuple[bytes, Flow | None]:
        """Return a row as it is written in a language, and the flow that it is read as. The flow is None if the row
        cannot be read."""
        key = id(version), language
        if key not in self._read:
            row = self._encoded(version, provider, language, lambda flow: provider.codec.write(flow, language))
            try:
                self._read[key] = row, provider.codec.read(row).flow
            except WireError:
                self._read[key] = row, None
        return self._read[key]

    def _encoded(
        self, version: RowVersion, provider: Provider, language: str | None, write: Callable[[Flow], bytes]
    ) -> bytes:
        key = id(version), language  # a version lives as long as the reader
        row = self._rows.get(key)
        if row is None:
            row = write(version.flow)
            if version.corruption is not None:
                row = corrupted(row, version.corruption, provider.codec)
            self._rows[key] = row
        return row

    def _matching(self, query: FlowQuery) -> list[_AccountRow]:
        """Return the rows of a query, oldest first. Rows of one instant are ordered by account, then by number."""
        matching = [
            (account, version)
            for account in sorted(set(query.accounts) & self._providers.keys())
            for version in self._present(account, query.since, query.until, self.now())
            if not query.where or matches(version.flow, query.where)
        ]
        return sorted(matching, key=_position) if len(query.accounts) > 1 else matching

    def _present(self, account: str, since: datetime, until: datetime, at: datetime) -> list[RowVersion]:
        """Yield the rows of [since, until) that exist at an instant."""
        versions, now_us = self._versions_of(account), to_us(self._row_time(at))
        first, after = (bisect_left(versions, to_us(end), key=lambda version: version.at_us) for end in (since, until))
        return [version for version in versions[first:after] if version.from_us <= now_us < version.until_us]

    def _versions_of(self, account: str) -> list[RowVersion]:
        with self._lock:
            if account not in self._versions:
                self._versions[account] = row_versions_of(
                    account,
                    _stored(list(self._flows(account)), self._providers[account], self._profile.deviations),
                    provider=self._providers[account],
                    profile=self._profile,
                    seed=self._seed,
                )
            return self._versions[account]

    def _row_time(self, at: datetime) -> datetime:
        """Return the instant of the rows' clock that belongs to an instant of the reader's clock."""
        return at - self._row_clock_delay


def _stored(flows: list[Flow], provider: Provider, deviations: Iterable[str]) -> list[Flow]:
    """Return the flows as a service stores them, if deviations change stored rows."""
    hooks = [DEVIATIONS[name] for name in deviations if DEVIATIONS[name].applies_to(provider)]
    for change in (deviation.change_stored for deviation in hooks if deviation.change_stored is not None):
        rows = change([provider.codec.write(flow) for flow in flows], provider)
        flows = [provider.codec.read(row).flow for row in rows]
    return flows


def _position(row: _AccountRow) -> RowPosition:
    account, version = row
    return RowPosition(version.at_us, account, version.number)


# ---------------------------------------------------------------- a simulated world with changing rows


def with_lifecycles(
    reader: WorldReader, providers: Mapping[str, Provider], *, profile: Profile, seed: int, opened: datetime
) -> LifecycleReader:
    """Return a reader of the same accounts whose rows change. Raises ConfigError for a world that is too large.

    `opened` is the time at which the simulator started. If the world had already ended, its rows change as if it had
    ended at that moment. Otherwise every late row would already have appeared, and every change would be over.
    """
    parameters = reader.world.parameters
    if parameters.flows > FLOWS_MAX:
        raise ConfigError(f"flows: expected {FLOWS_MAX} at most with faults, got {parameters.flows}")
    end = opened + LIVE_FOR if parameters.live else parameters.end
    accounts = {name: providers[reader.world.account(name).institution.name] for name in reader.world.accounts}
    return LifecycleReader(
        reader,
        lambda account: reader.world.flows(account, parameters.begin, end),
        accounts,
        profile=profile,
        seed=seed,
        row_clock_delay=NO_DELAY if parameters.live else max(NO_DELAY, opened - parameters.end),
    )


class TruthEndpoint:
    """Answers `GET /simulator/truth?account=…&at=…&since=…&until=…` with the rows that a reader must have at an
    instant."""

    def __init__(self, reader: LifecycleReader) -> None:
        self._reader = reader

    def __call__(self, request: Request) -> Response | None:
        """Return the rows, one per line, oldest first, including those that cannot be decoded. Returns None for any
        other path.

        They are written in the language that `accept-language` asks for. The default of `at` is now, and the default
        range is all of time.
        """
        if request.path != TRUTH_PATH:
            return None
        try:
            given = request.query_params()
            truth = self._reader.truth(
                given.get("account", ""),
                _instant(given, "since", MIN_INSTANT),
                _instant(given, "until", MAX_INSTANT),
                _instant(given, "at", self._reader.now()),
                language=request.headers.get("accept-language"),
            )
        except (ConfigError, WireError) as error:
            problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": str(error)}
            return Response(400, _PROBLEM, msgspec.json.encode(problem))
        return Response(200, _JSONL, b"".join(row + b"\n" for row in truth.rows))


def _instant(given: Mapping[str, str], name: str, default: datetime) -> datetime:
    return parse_instant(name, given[name]) if given.get(name) else default

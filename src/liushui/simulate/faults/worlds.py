"""A world's accounts as ones whose rows have lives, and the truth about them on a path of the simulator's own."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from liushui.errors import ConfigError, WireError
from liushui.http import Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT, parse_instant
from liushui.provider import Provider
from liushui.simulate.faults.profiles import Profile
from liushui.simulate.faults.reader import NOTHING_BEHIND, LivesReader
from liushui.simulate.reader import WorldReader

FLOWS_MAX: Final = 50_000
"""Of each account, where rows have lives: they are held in memory."""
LIVE_FOR: Final = timedelta(days=30)
"""For how long a live world goes on after its simulator started."""

TRUTH_PATH: Final = "/simulator/truth"

_ROWS: Final = [("content-type", "application/jsonl")]
_PROBLEM: Final = [("content-type", "application/problem+json")]


def lives_in(
    reader: WorldReader, providers: Mapping[str, Provider], *, profile: Profile, seed: int, opened: datetime
) -> LivesReader:
    """A reader of the same accounts at the providers given, whose rows have lives.

    `opened` is when the simulator started. Where the world had ended before, its rows live as though it had ended just
    then: what is late or restated in its last days is so while somebody looks. Raises ConfigError for a larger world.
    """
    asked = reader.world.parameters
    if asked.flows > FLOWS_MAX:
        raise ConfigError(f"flows: expected {FLOWS_MAX} at most with faults, got {asked.flows}")
    end = opened + LIVE_FOR if asked.live else asked.end
    accounts = {name: providers[reader.world.account(name).desk.name] for name in reader.world.accounts}
    return LivesReader(
        reader,
        lambda account: reader.world.flows(account, asked.begin, end),
        accounts,
        profile=profile,
        seed=seed,
        behind=NOTHING_BEHIND if asked.live else max(NOTHING_BEHIND, opened - asked.end),
    )


class Truth:
    """Answers `GET /simulator/truth?account=…&at=…&since=…&until=…`: the rows that a reader must have at an instant."""

    def __init__(self, reader: LivesReader) -> None:
        self._reader = reader

    def __call__(self, request: Request) -> Response | None:
        """The rows, one a line, oldest first, as the provider writes them in the language that `accept-language` asks
        for, damaged ones included. None: that is not what was asked for.

        `at` is now where it is missing, and the range all of time.
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
        return Response(200, _ROWS, b"".join(row + b"\n" for row in truth.rows))


def _instant(given: Mapping[str, str], name: str, otherwise: datetime) -> datetime:
    return parse_instant(name, given[name]) if given.get(name) else otherwise

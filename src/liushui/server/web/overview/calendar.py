"""A calendar of coverage: one square a day, a column a week, drawn as one path for each state. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import msgspec
from babel.dates import format_skeleton

from liushui.ledger.read.coverage import Day, DayRun, DayState, day_runs
from liushui.server.web.i18n import Language
from liushui.server.web.overview.labels import cause_text

PITCH: Final = 12
SIDE: Final = 10
TOP: Final = 16
LETTER: Final = 8
"""Units of the drawing: from square to square, a square's side, the line above with the months, a letter of it."""

LOOKS: Final = {
    DayState.COMPLETE: "good",
    DayState.OPEN: "warn",
    DayState.UNPUBLISHED: "busy",
    DayState.LOST: "bad",
}


class Shape(NamedTuple):
    """The squares of one state, as an SVG path, and how the state looks."""

    look: str
    path: str


class Month(NamedTuple):
    """The name of a month, and where it stands."""

    x: int
    name: str


class Calendar(NamedTuple):
    """The calendar of an account. `days` counts them by state's name."""

    account: str
    width: int
    height: int
    shapes: Sequence[Shape]
    months: Sequence[Month]
    day_runs: Sequence[DayRun]
    days: Mapping[str, int]
    told: "Told"


class Told(msgspec.Struct, frozen=True):
    """What a pointer over the drawing is told. `runs`: first day, number of days, words, reason."""

    account: str
    origin: str
    pitch: int
    top: int
    runs: Sequence[tuple[str, int, str, str]]


def state_names(language: Language) -> dict[DayState, str]:
    """What the states of days are called."""
    say = language.say
    return {
        DayState.COMPLETE: say("Complete"),
        DayState.OPEN: say("Gap"),
        DayState.UNPUBLISHED: say("Not published yet"),
        DayState.LOST: say("No longer available"),
    }


def drawn(account: str, days: Sequence[Day], language: Language) -> Calendar:
    """The calendar of an account's days, which follow each other."""
    names = state_names(language)
    origin = days[0].day - timedelta(days=days[0].day.weekday())
    squares: dict[DayState, list[str]] = {state: [] for state in DayState}
    months: list[Month] = []
    free_x = 0
    for day in days:
        week, weekday = divmod((day.day - origin).days, 7)
        squares[day.state].append(f"M{week * PITCH} {TOP + weekday * PITCH}h{SIDE}v{SIDE}h-{SIDE}z")
        if day.day.day == 1 and week * PITCH >= free_x:
            months.append(Month(week * PITCH, _month(day.day, language)))
            free_x = week * PITCH + LETTER * (len(months[-1].name) + 1)
    weeks = (days[-1].day - origin).days // 7 + 1
    found = day_runs(days)
    runs = [
        (
            run.since.isoformat(),
            (run.until - run.since).days + 1,
            names[run.state],
            cause_text(run.gap, language) if run.gap else "",
        )
        for run in found
    ]
    return Calendar(
        account,
        weeks * PITCH,
        TOP + 7 * PITCH,
        [Shape(LOOKS[state], "".join(paths)) for state, paths in squares.items() if paths],
        months,
        found,
        {names[state]: len(paths) for state, paths in squares.items() if paths},
        Told(account, origin.isoformat(), PITCH, TOP, runs),
    )


def _month(day: date, language: Language) -> str:
    return format_skeleton("yMMM" if day.month == 1 else "MMM", day, locale=language.locale)

"""totals: balances, and monthly summaries by currency and kind, from a ledger, against hledger and beancount.

Both peers read the same flows from a journal. Each of their figures is compared with ours to the last digit. Every run
is a process that starts from the files on the disk, because people use all three in this way.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from bench.context import ACCOUNT, BenchContext
from bench.process import LIUSHUI, BenchError, Took, run
from bench.programs import find_program, peer_environment, version_of
from bench.results import Measurement, Ratio, Series
from liushui.instant import BusinessDays, load_zone
from liushui.ledger.engine import open_ledger
from liushui.providers.longbridge import PROVIDER

BAR: Final = 100.0
BEANCOUNT_MAX: Final = 200_000
"""The most flows for beancount. A hundred thousand take a minute, and the time grows faster than the number of
flows."""

Template = Callable[[str, str, str, str, str], str]
"""Formats a flow for a journal, from its day, kind, side, amount and currency."""
Key = tuple[str, ...]
Figures = Mapping[Key, Decimal]
"""Amounts by currency, or by month, currency, kind and side. Zeros are left out."""


class _Balance(msgspec.Struct):
    currency: str
    amount: Decimal


class _Moved(msgspec.Struct):
    period: str
    currency: str
    kind: str
    money_in: Decimal
    money_out: Decimal


def measure(context: BenchContext) -> Measurement:
    """Milliseconds of each contestant for balances and for monthly summaries."""
    measurement = Measurement("totals")
    ledger = context.ledger()
    balances = _ours(ledger, ["balances"])
    months = _ours(ledger, ["summary", "--by", "month"])
    answers = (
        _kept({(one.currency,): one.amount for one in msgspec.json.decode(balances.output, type=list[_Balance])}),
        _kept(dict(_sides(msgspec.json.decode(months.output, type=list[_Moved])))),
    )
    rounds = context.options.peer_rounds
    ours = (
        [_ours(ledger, ["balances"]) for _ in range(rounds)],
        [_ours(ledger, ["summary", "--by", "month"]) for _ in range(rounds)],
    )
    _against_hledger(context, measurement, ledger, ours, answers)
    _against_beancount(context, measurement, ledger, ours, answers)
    return measurement


def _ours(ledger: Path, words: list[str]) -> Took:
    return run([*LIUSHUI, "--ledger", str(ledger), "--format", "json", *words])


def _sides(found: list[_Moved]) -> Iterator[tuple[Key, Decimal]]:
    for one in found:
        yield (one.period, one.currency, one.kind, "in"), one.money_in
        yield (one.period, one.currency, one.kind, "out"), one.money_out


def _kept(found: Mapping[Key, Decimal]) -> Figures:
    return {key: amount for key, amount in found.items() if amount}


# ---------------------------------------------------------------- hledger


def _against_hledger(
    context: BenchContext,
    measurement: Measurement,
    ledger: Path,
    ours: tuple[list[Took], list[Took]],
    answers: tuple[Figures, Figures],
) -> None:
    hledger = find_program("hledger", install=context.options.install, log=context.log)
    if hledger is None:
        measurement.notes.append("totals: hledger is not here and could not be installed: that peer was skipped")
        return
    journal = context.folder / "flows.journal"
    _write(ledger, journal, _hledger)
    command = [hledger, "-f", str(journal), "balance", "--flat", "--no-total", "--layout=bare", "--output-format=csv"]
    asked = {"balances": [ACCOUNT], "monthly summary": ["--monthly", "kind"]}
    readers = (_hledger_balances, _hledger_months)
    for (what, words), reader, mine, answer in zip(asked.items(), readers, ours, answers, strict=True):
        theirs = []
        for number in range(context.options.peer_rounds):
            context.log(f"totals, {what} by hledger, round {number + 1}")
            took = run([*command, *words])
            _check("hledger", what, _kept(reader(took.output.decode())), answer)
            theirs.append(took)
        _compare(measurement, what, "hledger", mine, theirs, context.options.flows)
    version = run([hledger, "--version"]).output.decode().split(",")[0]
    measurement.notes.append(
        f"totals: {version} reads its journal again for each question; liushui reads day totals from its ledger"
    )


def _hledger_balances(text: str) -> dict[Key, Decimal]:
    _, *rows = csv.reader(io.StringIO(text))
    return {(commodity,): Decimal(amount) for _, commodity, amount in rows}


def _hledger_months(text: str) -> dict[Key, Decimal]:
    (_, _, *months), *rows = csv.reader(io.StringIO(text))
    return {
        (month, commodity, *account.split(":")[1:]): -Decimal(amount)
        for account, commodity, *amounts in rows
        for month, amount in zip(months, amounts, strict=True)
    }


def _hledger(day: str, kind: str, side: str, amount: str, currency: str) -> str:
    against = amount[1:] if amount[0] == "-" else f"-{amount}"
    return f"{day} x\n {ACCOUNT}  {amount} {currency}\n kind:{kind}:{side}  {against} {currency}\n\n"


# ---------------------------------------------------------------- beancount


def _against_beancount(
    context: BenchContext,
    measurement: Measurement,
    ledger: Path,
    ours: tuple[list[Took], list[Took]],
    answers: tuple[Figures, Figures],
) -> None:
    flows = context.options.flows
    python = peer_environment("beancount", install=context.options.install, log=context.log)
    if python is None:
        measurement.notes.append("totals: beancount is not here and could not be installed: that peer was skipped")
        return
    if flows > BEANCOUNT_MAX:
        measurement.notes.append(f"totals: beancount is measured up to {BEANCOUNT_MAX:,} flows: it was skipped here")
        return
    journal = context.folder / "flows.beancount"
    kinds = _write(ledger, journal, _beancount, opens=True)
    theirs = []
    for number in range(context.options.peer_rounds):
        context.log(f"totals by beancount, round {number + 1}")
        took = run([python, "-m", "bench.peers.accounts", str(journal)], env={"BEANCOUNT_DISABLE_LOAD_CACHE": "1"})
        found = msgspec.json.decode(took.output, type=_Found)
        _check("beancount", "balances", _kept({(one[0],): Decimal(one[1]) for one in found.balances}), answers[0])
        months: dict[Key, Decimal] = {
            (f"{year}-{month:02}", currency, kinds[account], side): -Decimal(amount)
            for year, month, account, side, currency, amount in found.months
        }
        _check("beancount", "monthly summary", _kept(months), answers[1])
        theirs.append(took)
    both = [
        one._replace(wall_s=one.wall_s + two.wall_s, cpu_s=one.cpu_s + two.cpu_s)
        for one, two in zip(*ours, strict=True)
    ]
    _compare(measurement, "balances and monthly summary", "beancount", both, theirs, flows)
    measurement.notes.append(
        f"totals: beancount {version_of(python, 'beancount')} answers both questions in one process, from its text file"
        " and without its cache; liushui uses two processes"
    )


class _Found(msgspec.Struct):
    """The output of bench.peers.accounts."""

    balances: list[tuple[str, str]]
    months: list[tuple[int, int, str, str, str, str]]


def _beancount(day: str, kind: str, side: str, amount: str, currency: str) -> str:
    against = amount[1:] if amount[0] == "-" else f"-{amount}"
    name = f"Income:{_word(kind)}:{side.title()}"
    return f'{day} * "x"\n  Assets:Bench  {amount} {currency}\n  {name}  {against} {currency}\n\n'


def _word(kind: str) -> str:
    return kind.title().replace("_", "")


# ---------------------------------------------------------------- both


def _write(ledger: Path, file: Path, template: Template, *, opens: bool = False) -> dict[str, str]:
    """Write the ledger's flows as a journal. Returns the kinds, keyed by the journal's account names."""
    book = open_ledger(str(ledger))
    days = BusinessDays(load_zone(PROVIDER.rules.zone))
    kinds: dict[str, str] = {}
    with file.open("w", encoding="utf-8") as out, book.reading() as connection:
        if opens:
            out.write("2000-01-01 open Assets:Bench\n")
        for at_us, amount, currency, kind in connection.exec_driver_sql(_FLOWS, (ACCOUNT,)):
            if _word(kind) not in kinds:
                kinds[_word(kind)] = kind
                if opens:
                    out.writelines(f"2000-01-01 open Income:{_word(kind)}:{side}\n" for side in ("In", "Out"))
            side = "out" if str(amount)[0] == "-" else "in"
            out.write(template(days.day_of(at_us), kind, side, str(amount), currency))
    book.close()
    return kinds


def _check(who: str, what: str, found: Figures, expected: Figures) -> None:
    """Raise BenchError if a peer's figures differ: one of the two is wrong, and its speed is meaningless."""
    if found != expected:
        other = sorted(set(found.items()) ^ set(expected.items()))[:4]
        raise BenchError(f"{who}, {what}: {len(expected)} figures expected, {len(found)} found, such as {other}")


def _compare(measurement: Measurement, what: str, who: str, ours: list[Took], theirs: list[Took], flows: int) -> None:
    what = f"{what} of {flows:,} flows"
    peer = Series(what, who, "ms", [one.wall_s * 1_000 for one in theirs])
    mine = Series(what, "liushui", "ms", [one.wall_s * 1_000 for one in ours])
    measurement.ratios.append(Ratio(f"{who} ÷ liushui: {what}", peer, mine, BAR, "at least"))
    used = f"processor time, {what}"
    of_peer = Series(used, who, "ms", [one.cpu_s * 1_000 for one in theirs])
    of_ours = Series(used, "liushui", "ms", [one.cpu_s * 1_000 for one in ours])
    measurement.ratios.append(Ratio(f"processor time, {who} ÷ liushui: {what}", of_peer, of_ours))
    measurement.figures.append(Series(f"peak memory, {what}", who, "MiB", [one.rss_bytes / 2**20 for one in theirs]))
    measurement.figures.append(
        Series(f"peak memory, {what}", "liushui", "MiB", [one.rss_bytes / 2**20 for one in ours])
    )


_FLOWS: Final = "SELECT at_us, amount, currency, kind FROM flows WHERE account = ? ORDER BY at_us, id"

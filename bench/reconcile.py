"""reconcile: balance chains against hledger; certificates and transfers against the reads that they need.

Two ledgers are imported. One has a WeCom shop and an hkus account, whose rows state balances. The other has an account
at each provider. Both have the number of flows in the option. Commands run in separate processes. The check after a
day's rows is measured inside this process, because a sync makes this check before it ends.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.context import BEGIN, END, SEED, BenchContext, check_rows
from bench.process import LIUSHUI, ROOT, BenchError, Took, run
from bench.programs import find_program
from bench.results import Measurement, Ratio, Series
from liushui.cli import EXIT_INCOMPLETE
from liushui.flow import Flow
from liushui.importing.run import import_files
from liushui.instant import BusinessDays, load_zone, to_us
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.flow_row import read_rows
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.chains import check_segments
from liushui.ledger.write.chain_segments import store_chains
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.money import EXACT, to_plain_string
from liushui.provider import Provider, Slice
from liushui.providers import load_providers
from liushui.rules import BALANCE_RULES, BalanceRules
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World

CHAINED: Final = ("wecom", "hkus")
"""The providers whose rows state balances."""
BAR_HLEDGER: Final = 20.0
BAR_DAY: Final = 0.01
BAR_MONTH: Final = 1.5
BAR_CERTIFICATE: Final = 3.0
BAR_TRANSFERS: Final = 3.0
BARS_FROM: Final = 1_000_000
"""The number of flows from which the bars of a day and of a month apply. With fewer, fixed costs dominate."""
PERIOD: Final = date(2025, 6, 1), date(2025, 7, 1)
KEY: Final = "example.com/bench"


class _Count(msgspec.Struct):
    """The output of `certificate create --format json`."""

    rows: int


class _KeyRecord(msgspec.Struct):
    """The output of `certificate key create --format json`."""

    verifier_key: str


class _ImportedLedger(NamedTuple):
    """A ledger with the accounts of a world. `held_back` is the time of the first row that is not yet imported."""

    path: Path
    world: World
    providers: dict[str, Provider]
    held_back: datetime

    def provider_of(self, account: str) -> Provider:
        """The provider of an account."""
        return self.providers[self.world.account(account).institution.name]

    def flows(self, account: str) -> Iterator[Flow]:
        """The flows that were imported, in the order in which they happened."""
        return self.world.flows(account, BEGIN, self.held_back)


def measure(context: BenchContext) -> Measurement:
    """The seconds of each check and of its peer, in turn."""
    measurement, flows = Measurement("reconcile"), context.options.flows
    days = timedelta(days=context.options.rounds)
    chained = _imported(context, CHAINED, flows // len(CHAINED), END - days)
    checks = [_breaks(chained.path) for _ in range(context.options.rounds)]
    _against_hledger(context, measurement, chained, checks)
    _after_a_day(context, measurement, chained)
    _proof_of_a_month(context, measurement, chained)
    _certificates(context, measurement, chained)
    names = tuple(load_providers())
    everywhere = _imported(context, names, flows // len(names), END)
    _transfers(context, measurement, everywhere, checks)
    return measurement


def _imported(context: BenchContext, names: Sequence[str], flows: int, until: datetime) -> _ImportedLedger:
    """Import, from files, a ledger with an account at each of these providers, with this number of flows each."""
    context.log(f"importing {flows:,} flows of each of {', '.join(names)}")
    providers = {name: load_providers()[name] for name in names}
    world = World(Parameters(accounts=1, flows=flows, seed=SEED, begin=BEGIN, end=END), institutions_of(providers))
    made = _ImportedLedger(context.folder / f"reconcile-{len(names)}.db", world, providers, until)
    ledger = open_ledger(str(made.path), create=True)
    for account in world.accounts:
        provider, file = made.provider_of(account), context.folder / f"reconcile-{account}.jsonl"
        with file.open("wb") as out:
            out.writelines(provider.codec.write(flow) + b"\n" for flow in made.flows(account))
        make_account(ledger, account, provider.name, provider.rules.zone)
        import_files(ledger, account, provider, [file], advance=lambda _bytes: None)
        file.unlink()
    ledger.close()
    return made


def _command(ledger: Path, *words: str) -> list[str]:
    return [*LIUSHUI, "--ledger", str(ledger), "--format", "json", *words]


def _breaks(ledger: Path) -> Took:
    took = run(_command(ledger, "breaks", "--again"))
    if msgspec.json.decode(took.output) != []:
        raise BenchError(f"liushui breaks: expected none, got {took.output[:2_000].decode()}")
    return took


def _seconds(what: str, who: str, took: Sequence[Took]) -> Series:
    return Series(what, who, "s", [one.wall_s for one in took])


def _processor_seconds(what: str, who: str, took: Sequence[Took]) -> Series:
    return Series(f"processor time, {what}", who, "s", [one.cpu_s for one in took])


# ---------------------------------------------------------------- chains


def _against_hledger(
    context: BenchContext, measurement: Measurement, chained: _ImportedLedger, checks: Sequence[Took]
) -> None:
    what = f"check every stated balance of {context.options.flows:,} flows"
    peak = [one.rss_bytes / 2**20 for one in checks]
    measurement.figures.append(Series(f"peak memory, {what}", "liushui", "MiB", peak))
    hledger = find_program("hledger", install=context.options.install, log=context.log)
    if hledger is None:
        measurement.figures.append(_seconds(what, "liushui", checks))
        measurement.notes.append("reconcile: hledger is not here and could not be installed: that peer was skipped")
        return
    journal = context.folder / "reconcile.journal"
    _write_journal(chained, journal)
    context.log("reconcile, check by hledger")
    rounds = context.options.peer_rounds
    theirs = [run([hledger, "-f", str(journal), "check"]) for _ in range(rounds)]
    pair = _seconds(what, "hledger", theirs), _seconds(what, "liushui", checks[:rounds])
    measurement.ratios.append(Ratio(f"hledger ÷ liushui: {what}", *pair, BAR_HLEDGER, "at least"))
    pair = _processor_seconds(what, "hledger", theirs), _processor_seconds(what, "liushui", checks[:rounds])
    measurement.ratios.append(Ratio(f"processor time, hledger ÷ liushui: {what}", *pair))
    peak = [one.rss_bytes / 2**20 for one in theirs]
    measurement.figures.append(Series(f"peak memory, {what}", "hledger", "MiB", peak))
    measurement.notes.append(
        "reconcile: hledger checks a journal with an assertion on every posting, which are in the order of the chain; "
        "liushui finds that order itself, from the ledger (`breaks --again`)"
    )


def _write_journal(chained: _ImportedLedger, file: Path) -> None:
    """Write the flows as a journal. Each flow asserts the balance after it."""
    with file.open("w", encoding="utf-8") as out:
        for account in chained.world.accounts:
            days = BusinessDays(load_zone(chained.provider_of(account).rules.zone))
            opened: set[tuple[str, str]] = set()
            for flow in chained.flows(account):
                if flow.balance_after is None:
                    raise BenchError(f"{account}: a flow states no balance")
                day, name = days.day_of(to_us(flow.at)), f"{account}:{flow.subaccount or 'cash'}"
                if (flow.subaccount, flow.currency) not in opened:
                    opened.add((flow.subaccount, flow.currency))
                    opening = to_plain_string(EXACT.subtract(flow.balance_after, flow.amount))
                    out.write(f"{day} opening\n {name}  {opening} {flow.currency}\n equity\n\n")
                balance, amount = to_plain_string(flow.balance_after), to_plain_string(flow.amount)
                posting = f"{amount} {flow.currency} = {balance} {flow.currency}"
                out.write(f"{day} x\n {name}  {posting}\n other\n\n")


def _after_a_day(context: BenchContext, measurement: Measurement, chained: _ImportedLedger) -> None:
    """Measure the check that ends a sync of one more day, against the check of all rows of the same account."""
    account = chained.world.accounts[0]
    provider = chained.provider_of(account)
    rules = provider.rules.balances or BALANCE_RULES
    ledger = open_ledger(str(chained.path))
    day_s, full_s = [], []
    for number in range(context.options.rounds):
        since = chained.held_back + timedelta(days=number)
        slice_ = Slice(since, since + timedelta(days=1))
        rows = [provider.codec.write(flow) for flow in chained.world.flows(account, *slice_)]
        received, _ = read_rows(provider.codec, rows)
        commit_slice(ledger, account, slice_, read_at=ledger.clock(), received=received)
        begun = time.process_time()
        store_chains(ledger, account, rules)
        between = time.process_time()
        _check_again(ledger, account, rules)
        day_s.append(between - begun)
        full_s.append(time.process_time() - between)
    ledger.close()
    what = f"check chains of {context.options.flows // len(CHAINED):,} flows"
    what = f"processor time, {what}"
    pair = Series(what, "after a sync of one day", "s", day_s), Series(what, "all of them", "s", full_s)
    measurement.ratios.append(_ratio(context, "check after a day ÷ check of all", *pair, BAR_DAY))


def _check_again(ledger: Ledger, account: str, rules: BalanceRules) -> None:
    with ledger.reading() as connection:
        (name,) = find_accounts(queries_of(connection), (account,))
        check_segments(connection, name, rules, again=True)


# ---------------------------------------------------------------- months, certificates and transfers


def _proof_of_a_month(context: BenchContext, measurement: Measurement, chained: _ImportedLedger) -> None:
    """The proof of cash of a month, against the summary of the same month, in turn."""
    since, until = PERIOD
    summary = ["summary", "--since", since.isoformat(), "--until", until.isoformat()]
    proofs, summaries = [], []
    for number in range(context.options.rounds):
        context.log(f"reconcile, a month, round {number + 1}")
        # Imported accounts have no source, so the month before the first row and the month after the last row cannot be
        # checked.
        codes = 0, EXIT_INCOMPLETE
        proofs.append(run(_command(chained.path, "reconcile", "--period", f"{since:%Y-%m}"), codes=codes))
        summaries.append(run(_command(chained.path, *summary), codes=codes))
    what = f"a month of {context.options.flows:,} flows"
    pair = _seconds(what, "liushui reconcile", proofs), _seconds(what, "liushui summary", summaries)
    measurement.ratios.append(_ratio(context, "proof of cash of a month ÷ its summary", *pair, BAR_MONTH))
    used = _processor_seconds(what, pair[0].who, proofs), _processor_seconds(what, pair[1].who, summaries)
    measurement.ratios.append(Ratio("processor time, proof of cash of a month ÷ its summary", *used))


def _certificates(context: BenchContext, measurement: Measurement, chained: _ImportedLedger) -> None:
    """Measure a certificate of a month and its check by the checker, against reading the month's rows."""
    account, (since, until) = chained.world.accounts[0], PERIOD
    created = run(_command(chained.path, "certificate", "key", "create", KEY))
    key = msgspec.json.decode(created.output, type=_KeyRecord).verifier_key
    file, rows = context.folder / "reconcile.certificate", context.folder / "reconcile-rows.jsonl"
    create = ["certificate", "create", account, "--period", f"{since:%Y-%m}", "--out", str(file), "--force"]
    read = ["flows", account, "--since", since.isoformat(), "--until", until.isoformat()]
    checker = [sys.executable, "-I", str(ROOT / "tools" / "check_certificate.py"), str(file), "--key", key]
    certificate_s, check_s, read_s, certified = [], [], [], 0
    for number in range(context.options.rounds):
        context.log(f"reconcile, certificate, round {number + 1}")
        made = run(_command(chained.path, *create))
        certified = msgspec.json.decode(made.output, type=_Count).rows
        run([*LIUSHUI, "--ledger", str(chained.path), "certificate", "rows", str(file), "--format", "jsonl"], out=rows)
        checked = run([*checker, "--rows", str(rows)])
        flows = run([*LIUSHUI, "--ledger", str(chained.path), "--format", "jsonl", *read], codes=(0, EXIT_INCOMPLETE))
        check_rows("liushui flows", len(flows.output.splitlines()), certified)
        certificate_s.append(made.wall_s)
        check_s.append(checked.wall_s)
        read_s.append(flows.wall_s)
    what = f"a month of {certified:,} rows"
    both = [one + other for one, other in zip(certificate_s, check_s, strict=True)]
    pair = Series(what, "certificate and its check", "s", both), Series(what, "reading the rows", "s", read_s)
    measurement.ratios.append(_ratio(context, "certificate of a month ÷ reading its rows", *pair, BAR_CERTIFICATE))
    measurement.figures.append(Series(what, "certificate create", "s", certificate_s))
    measurement.figures.append(Series(what, "tools/check_certificate.py", "s", check_s))


def _transfers(
    context: BenchContext, measurement: Measurement, everywhere: _ImportedLedger, checks: Sequence[Took]
) -> None:
    """Measure the matching of transfers between accounts at all providers, against the check of the chains of as many
    flows."""
    links = context.folder / "reconcile-links.jsonl"
    command = [*LIUSHUI, "--ledger", str(everywhere.path), "--format", "jsonl", "link", "list", "--kind", "transfer"]
    took = []
    for number in range(context.options.rounds):
        context.log(f"reconcile, transfers, round {number + 1}")
        took.append(run(command, out=links))
    transfers = len(links.read_bytes().splitlines())
    flows = context.options.flows
    what = f"{flows:,} flows"
    pair = (
        _seconds(what, f"match transfers of {len(everywhere.world.accounts)} accounts", took),
        _seconds(what, "check every stated balance", checks),
    )
    measurement.ratios.append(Ratio("match transfers ÷ check of all", *pair, BAR_TRANSFERS, "at most"))
    used = _processor_seconds(what, pair[0].who, took), _processor_seconds(what, pair[1].who, checks)
    measurement.ratios.append(Ratio("processor time, match transfers ÷ check of all", *used))
    measurement.notes.append(f"reconcile: {transfers:,} transfers, candidates included, are listed")


def _ratio(context: BenchContext, what: str, ours: Series, peer: Series, bar: float) -> Ratio:
    """A ratio whose bar applies only to large ledgers."""
    if context.options.flows < BARS_FROM:
        return Ratio(what, ours, peer)
    return Ratio(what, ours, peer, bar, "at most")

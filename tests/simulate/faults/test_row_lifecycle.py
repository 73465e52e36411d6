"""Row versions: the effect of each change on a row, determined entirely by the seed."""

from collections import Counter
from datetime import timedelta
from itertools import groupby, pairwise
from typing import Final

import pytest

from liushui.errors import WireError
from liushui.flow import Flow
from liushui.instant import to_us
from liushui.provider import DocumentCodec, Provider
from liushui.providers import load_providers
from liushui.simulate.faults.profiles import PROFILES, RATE_BASE, Profile, RowChange
from liushui.simulate.faults.row_lifecycle import (
    CHANGES_WITHIN,
    FACTOR_MAX,
    FOREVER_US,
    MOVED_MAX,
    RESTATED_TEXT,
    UNKNOWN_CURRENCY,
    UNKNOWN_LABEL,
    RowVersion,
    corrupted,
    row_versions_of,
)
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World
from liushui.testing.golden import cases, samples_of
from tests.simulate.faults.testbed import BEGIN, END

CLOSED_CURRENCIES: Final = {"alipay", "stripe", "wechatpay", "wecom"}
"""The providers that can only have currencies that they list."""
EVERY: Final = pytest.mark.parametrize("provider", load_providers().values(), ids=list(load_providers()))
LONGBRIDGE: Final = load_providers()["longbridge"]
WITHIN_US: Final = CHANGES_WITHIN[-1] // timedelta(microseconds=1)


def flows_of(provider: Provider, flows: int = 60) -> list[Flow]:
    """What truly happened to an account."""
    world = World(Parameters(accounts=1, flows=flows, begin=BEGIN, end=END), institutions_of({provider.name: provider}))
    return list(world.flows(world.accounts[0], BEGIN, END))


def versions_by_row(
    flows: list[Flow], profile: Profile, *, provider: Provider = LONGBRIDGE, seed: int = 1
) -> dict[int, list[RowVersion]]:
    """The versions of each row, in the order in which they are there."""
    versions = row_versions_of("it", flows, provider=provider, profile=profile, seed=seed)
    assert [version[:2] for version in versions] == sorted(version[:2] for version in versions)
    by_row = sorted(versions, key=lambda version: (version.number, version.from_us))
    return {number: list(row) for number, row in groupby(by_row, key=lambda version: version.number)}


def always(change: RowChange) -> Profile:
    return Profile(rows={change: RATE_BASE})


def test_an_unchanged_row_is_there_from_its_instant_on() -> None:
    flows = flows_of(LONGBRIDGE)
    for flow, (row,) in zip(flows, versions_by_row(flows, Profile()).values(), strict=True):
        assert row == RowVersion(to_us(flow.at), row.number, to_us(flow.at), FOREVER_US, flow)


def test_everything_follows_from_the_seed() -> None:
    flows, storm = flows_of(LONGBRIDGE), PROFILES["storm"]
    assert (
        versions_by_row(flows, storm, seed=5)
        == versions_by_row(flows, storm, seed=5)
        != versions_by_row(flows, storm, seed=6)
    )


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_versions_of_a_row_do_not_overlap(profile: Profile) -> None:
    for row in versions_by_row(flows_of(LONGBRIDGE), profile).values():
        for version, later in pairwise(row):
            assert version.from_us < version.until_us <= later.from_us
        assert row[-1].from_us < row[-1].until_us


def test_late_rows_appear_within_weeks() -> None:
    lates = [
        version.from_us - version.at_us
        for (version,) in versions_by_row(flows_of(LONGBRIDGE), always(RowChange.LATE)).values()
    ]
    assert all(0 < late <= WITHIN_US for late in lates)
    assert min(lates) < 3_600_000_000 < 86_400_000_000 < max(lates)


def test_withdrawn_rows_disappear_within_weeks() -> None:
    for (version,) in versions_by_row(flows_of(LONGBRIDGE), always(RowChange.WITHDRAWN)).values():
        assert version.from_us == version.at_us
        assert 0 < version.until_us - version.at_us <= WITHIN_US


@EVERY
def test_restated_amounts_keep_their_sign_and_their_places(provider: Provider) -> None:
    for first, second in versions_by_row(flows_of(provider), always(RowChange.AMOUNT), provider=provider).values():
        before, after = first.flow.amount, second.flow.amount
        assert first.until_us == second.from_us
        assert after.as_tuple().exponent == before.as_tuple().exponent
        assert any(after == before * factor for factor in range(2, FACTOR_MAX + 1))
        assert second.flow._replace(amount=before) == first.flow


def test_restated_texts_are_the_label_or_the_note() -> None:
    seen = Counter[str]()
    for first, second in versions_by_row(flows_of(LONGBRIDGE), always(RowChange.WORDS)).values():
        changed = [name for name in Flow._fields if getattr(first.flow, name) != getattr(second.flow, name)]
        assert [getattr(second.flow, name) for name in changed] == [RESTATED_TEXT]
        seen.update(changed)
    assert set(seen) == {"label", "note"}


def test_restated_times_move_the_row() -> None:
    for first, second in versions_by_row(flows_of(LONGBRIDGE), always(RowChange.TIME)).values():
        assert timedelta(0) < abs(second.flow.at - first.flow.at) <= MOVED_MAX
        assert second.at_us == to_us(second.flow.at)
        assert second.from_us == first.until_us


def test_twins_are_two_equal_rows() -> None:
    flows = flows_of(LONGBRIDGE)
    rows = versions_by_row(flows, always(RowChange.TWIN))
    assert len(rows) == 2 * len(flows)
    assert Counter(row.flow for (row,) in rows.values()) == Counter(flows + flows)


@EVERY
def test_a_crowd_has_more_rows_at_one_instant_than_a_page(provider: Provider) -> None:
    flows = flows_of(provider)
    rows = [row for (row,) in versions_by_row(flows, Profile(crowds=1), provider=provider).values()]
    at_us, many = Counter(row.at_us for row in rows).most_common(1)[0]
    assert many > provider.rules.paging.size_max
    crowd = [row for row in rows if row.at_us == at_us]
    assert len({row.flow.subaccount for row in crowd}) == 1
    assert Counter(provider.codec.read(provider.codec.write(row.flow)).flow.at for row in crowd).total() == many


def test_an_account_without_flows_has_no_crowd() -> None:
    assert not versions_by_row([], PROFILES["storm"])


@EVERY
def test_unknown_kinds_and_currencies_are_used_where_the_wire_can(provider: Provider) -> None:
    flows = flows_of(provider)
    for flow, (row,) in zip(
        flows, versions_by_row(flows, always(RowChange.UNKNOWN), provider=provider).values(), strict=True
    ):
        assert row.flow.label == UNKNOWN_LABEL
        assert row.flow.currency in (UNKNOWN_CURRENCY, flow.currency)
        read = provider.codec.read(provider.codec.write(row.flow)).flow
        assert (read.kind, read.currency) == ("other", row.flow.currency)
    assert provider.name in CLOSED_CURRENCIES or row.flow.currency == UNKNOWN_CURRENCY


# ---------------------------------------------------------------- corruption


def rows_of(provider: Provider) -> list[bytes]:
    """Every golden row of a provider that can be decoded, and rows that its codec writes."""
    rows = [provider.codec.write(flow) for flow in flows_of(provider, 20)]
    for _, wire, _ in cases(samples_of(provider)):
        for row in provider.codec.extract_rows(wire.read_bytes()):
            try:
                provider.codec.read(row)
            except WireError:
                continue
            rows.append(row)
    return rows


@EVERY
def test_every_corruption_makes_a_row_undecodable(provider: Provider) -> None:
    for row in rows_of(provider):
        found = {corrupted(row, variant, provider.codec) for variant in range(80)}
        assert len(found) > 5
        assert isinstance(provider.codec, DocumentCodec) or any(b"\xff" in broken for broken in found)
        for broken in found:
            with pytest.raises(WireError):
                provider.codec.read(broken)


@EVERY
def test_a_corruption_repeats_itself(provider: Provider) -> None:
    for row in rows_of(provider):
        for variant in (0, 3, 10**6):
            assert corrupted(row, variant, provider.codec) == corrupted(row, variant, provider.codec)

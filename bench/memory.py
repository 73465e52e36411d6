"""memory: the peak of `liushui sync` and of `liushui import` at two sizes. Each once, because a peak hardly varies."""

from collections.abc import Sequence
from typing import Final

import msgspec

from bench.context import ACCOUNT, BenchContext, check_rows, credentials, sync_command
from bench.process import LIUSHUI, Took, run
from bench.results import Measurement, Ratio, Series
from liushui.providers.longbridge import PROVIDER

BAR: Final = 1.2
MIB: Final = 2**20


class _Added(msgspec.Struct):
    """The output of `sync` for a source, and of `import` for an account."""

    added: int


def measure(context: BenchContext) -> Measurement:
    """Peak resident memory at the larger size, divided by that at the smaller one."""
    measurement = Measurement("memory")
    for name, of in (("sync", _sync), ("import", _import)):
        took = []
        for flows in context.options.memory_flows:
            context.log(f"memory of {name}, {flows:,} flows")
            took.append(of(context, flows))
        peaks = [one.rss_bytes for one in took]
        measurement.ratios.append(_ratio(context, name, f"memory, {name}", "peak memory", peaks, BAR))
        if all(private := [one.private_bytes for one in took]):
            what = "peak memory, mapped files left out"
            measurement.ratios.append(_ratio(context, name, f"memory, {name}, private", what, private, None))
        for flows, one in zip(context.options.memory_flows, took, strict=True):
            rate = [flows / one.wall_s]
            measurement.figures.append(Series(f"its speed at {flows:,} flows", f"liushui {name}", "rows/s", rate))
    return measurement


def _ratio(
    context: BenchContext, name: str, ratio: str, what: str, peaks_bytes: Sequence[int], bar: float | None
) -> Ratio:
    small, large = (
        Series(f"{what} at {flows:,} flows", f"liushui {name}", "MiB", [peak / MIB])
        for flows, peak in zip(context.options.memory_flows, peaks_bytes, strict=True)
    )
    return Ratio(ratio, large, small, bar, "at most" if bar else "reported")


def _sync(context: BenchContext, flows: int) -> Took:
    with context.stub(context.data(flows)) as stub:
        took = run(sync_command(context.new_ledger(f"memory-sync-{flows}", stub.url, credentials())))
    (found,) = msgspec.json.decode(took.output, type=list[_Added])
    check_rows("liushui sync", found.added, flows)
    return took


def _import(context: BenchContext, flows: int) -> Took:
    folder = context.folder / f"memory-import-{flows}"
    folder.mkdir()
    command = [*LIUSHUI, "--ledger", str(folder / "ledger.db"), "--format", "json", "import"]
    took = run([*command, str(context.data(flows).file), "--provider", PROVIDER.name, "--account", ACCOUNT])
    check_rows("liushui import", msgspec.json.decode(took.output, type=_Added).added, flows)
    return took

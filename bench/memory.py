"""memory: the peak of `liushui sync` and of `liushui import`, at two sizes. Once each: a peak hardly varies."""

from collections.abc import Sequence
from typing import Final

import msgspec

from bench.process import LIUSHUI, Took, run
from bench.results import Outcome, Ratio, Series
from bench.setting import ACCOUNT, Setting, check_rows, credentials, sync_command
from liushui.providers.longbridge import PROVIDER

BAR: Final = 1.2
MIB: Final = 2**20


class _Added(msgspec.Struct):
    """What `sync` prints of a source, and `import` of an account."""

    added: int


def measure(setting: Setting) -> Outcome:
    """Peak resident memory at the larger size, divided by that at the smaller one."""
    outcome = Outcome("memory")
    for name, of in (("sync", _sync), ("import", _import)):
        took = []
        for flows in setting.options.memory_flows:
            setting.say(f"memory of {name}, {flows:,} flows")
            took.append(of(setting, flows))
        peaks = [one.rss_bytes for one in took]
        outcome.ratios.append(_ratio(setting, name, f"memory, {name}", "peak memory", peaks, BAR))
        if all(private := [one.private_bytes for one in took]):
            what = "peak memory, mapped files left out"
            outcome.ratios.append(_ratio(setting, name, f"memory, {name}, private", what, private, None))
        for flows, one in zip(setting.options.memory_flows, took, strict=True):
            rate = [flows / one.wall_s]
            outcome.figures.append(Series(f"its speed at {flows:,} flows", f"liushui {name}", "rows/s", rate))
    return outcome


def _ratio(setting: Setting, name: str, ratio: str, what: str, peaks_bytes: Sequence[int], bar: float | None) -> Ratio:
    small, large = (
        Series(f"{what} at {flows:,} flows", f"liushui {name}", "MiB", [peak / MIB])
        for flows, peak in zip(setting.options.memory_flows, peaks_bytes, strict=True)
    )
    return Ratio(ratio, large, small, bar, "at most" if bar else "reported")


def _sync(setting: Setting, flows: int) -> Took:
    with setting.stub(setting.data(flows)) as stub:
        took = run(sync_command(setting.new_ledger(f"memory-sync-{flows}", stub.url, credentials())))
    (found,) = msgspec.json.decode(took.output, type=list[_Added])
    check_rows("liushui sync", found.added, flows)
    return took


def _import(setting: Setting, flows: int) -> Took:
    folder = setting.folder / f"memory-import-{flows}"
    folder.mkdir()
    command = [*LIUSHUI, "--ledger", str(folder / "ledger.db"), "--format", "json", "import"]
    took = run([*command, str(setting.data(flows).file), "--provider", PROVIDER.name, "--account", ACCOUNT])
    check_rows("liushui import", msgspec.json.decode(took.output, type=_Added).added, flows)
    return took

"""The results of measurements: series of figures, and ratios of two series that were measured in turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Sense = Literal["at least", "at most", "reported"]
"""How a ratio is compared with its bar. `reported` ratios have no bar."""


@dataclass(frozen=True)
class Series:
    """One figure of one contestant, with one value a round."""

    what: str
    who: str
    unit: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass(frozen=True)
class Ratio:
    """`ours` divided by `peer`, round by round. Both values of a round were measured directly after each other."""

    what: str
    ours: Series
    peer: Series
    bar: float | None = None
    sense: Sense = "reported"

    @property
    def values(self) -> list[float]:
        return [ours / peer for ours, peer in zip(self.ours.values, self.peer.values, strict=True)]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the bar. None: there is no bar."""
        if self.bar is None or self.sense == "reported":
            return None
        return self.median >= self.bar if self.sense == "at least" else self.median <= self.bar


@dataclass
class Measurement:
    """The results of one subject. `figures` are not part of a ratio. `notes` tell a reader what the figures depend
    on."""

    name: str
    ratios: list[Ratio] = field(default_factory=list)
    figures: list[Series] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def series(self) -> list[Series]:
        """Every series once, the series of ratios first."""
        found: list[Series] = []
        for ratio in self.ratios:
            found += [one for one in (ratio.ours, ratio.peer) if one not in found]
        return found + [one for one in self.figures if one not in found]

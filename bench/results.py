"""What a benchmark says, and what it must hold."""

from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from msgspec import Struct

HELD: Final = Path(__file__).with_name("held.txt")  # benches that have held their figure: below half of it they fail


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of output. `ratio` is figure against reference, in the direction that `hold` is written."""

    name: str
    figure: float
    unit: str
    reference: float
    ratio: float
    hold: float
    aim: float
    better: str  # higher or lower
    rounds: int
    note: str = ""
    figures: dict[str, float] = {}
    also_holds: bool = True  # what else is to be held; `figures` says what

    @property
    def holds(self) -> bool:
        """Whether the figure to hold is held."""
        return self.also_holds and (self.ratio >= self.hold if self.better == "higher" else self.ratio <= self.hold)

    @property
    def broken(self) -> bool:
        """Whether it has fallen below half of what is to be held."""
        return self.ratio < self.hold / 2 if self.better == "higher" else self.ratio > self.hold * 2

    def line(self) -> str:
        """The JSON line."""
        return msgspec.json.encode(msgspec.to_builtins(self) | {"holds": self.holds}).decode()


def middle(values: list[float]) -> float:
    """The median, rounded for reading."""
    return round(median(values), 4)


def held_names() -> set[str]:
    """The benches that must not break any more."""
    return {line.strip() for line in HELD.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")}

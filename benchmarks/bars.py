"""The bars that the engine has to clear, and whether it does.

    python -m benchmarks.bars [benchmarks/results/latest.json]

Ratios are taken within a round, a peer's time over the engine's; what counts is the
worst round.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.store import Json

LATEST = Path(__file__).parent / "results" / "latest.json"
FRAMEWORKS = ("norse", "snntorch", "spikingjelly")
Wanted = Mapping[str, float]
LAVA: Wanted = {"N1": 700, "N2": 800, "N3": 2000}
LAVA_AVX2: Wanted = {"N1": 350, "N2": 450, "N3": 1100}
BATCH_1: Wanted = {"N1": 85, "N2": 10, "N3": 15}
BEST_BATCH: Wanted = {"N1": 12, "N2": 4.5, "N3": 11}
CUTOFF, COUNTED, THREADS, SHARE = 1.05, 1.3, 1.8, 0.5


@dataclass(frozen=True)
class Bar:
    """One bar: what was found in the worst round, and what is wanted."""

    name: str
    network: str
    found: float
    wanted: float
    is_upper: bool = False  # True: not more than that

    @property
    def is_met(self) -> bool:
        """Whether the bar is cleared."""
        if self.is_upper:
            return self.found <= self.wanted
        return self.found >= self.wanted

    @property
    def text(self) -> str:
        """One line."""
        sign = "<=" if self.is_upper else ">="
        verdict = "met" if self.is_met else "MISSED"
        return (
            f"{self.name:48}{self.network:14}{self.found:9.4g}  "
            f"{sign} {self.wanted:<6g} {verdict}"
        )


def times(case: Json, key: str) -> list[float]:
    """Return a contender's times, round by round; none if it is absent."""
    found: list[float] = case["contenders"].get(key, {"us": []})["us"]
    return found


def ratios(case: Json, above: list[list[float]], below: str) -> list[float]:
    """Return, round by round, the least of some times over those of ``below``."""
    rows = zip(*above, strict=False) if above else ()
    ours = times(case, below)
    return [min(row) / own for row, own in zip(rows, ours, strict=False)]


def bars(result: Json) -> list[Bar]:
    """Return all bars that the results say something about."""
    found = []
    for name, case in result["cases"].items():
        if name in LAVA:
            found += [*_against_peers(name, case), *_of_itself(name, case)]
    return found + _layers(result)


def _against_peers(name: str, case: Json) -> list[Bar]:
    lava = [times(case, "lava, 1 thread")]
    rows = [
        ("Lava, per timestep, avx512", lava, "avx512, 1 thread", LAVA),
        ("Lava, per timestep, avx2", lava, "avx2, 1 thread", LAVA_AVX2),
    ]
    for title, batch, wanted in (
        ("best framework, batch 1, avx512", "1", BATCH_1),
        ("best framework, best batch, avx512", "best", BEST_BATCH),
    ):
        keys = [f"{program}, 1 thread, batch {batch}" for program in FRAMEWORKS]
        present = [x for x in (times(case, key) for key in keys) if x]
        rows.append((title, present, "avx512, 1 thread", wanted))
    return [
        Bar(title, name, min(found), wanted[name])
        for title, above, below, wanted in rows
        if (found := ratios(case, above, below))
    ]


def _of_itself(name: str, case: Json) -> list[Bar]:
    """Return the bars of the fastest instruction set against itself."""
    best = next(iter(case["contenders"])).partition(",")[0]
    one = f"{best}, 1 thread"
    found = []
    counted = ratios(case, [times(case, f"{one}, counted")], f"{one}, drained")
    if counted:
        title = "counters on / off, pipeline run empty"
        found.append(Bar(title, name, max(counted), COUNTED, is_upper=True))
    fractions = cutoff_fractions(case)
    if fractions:
        title = "cutoff: time fraction / timestep fraction"
        worst = max(time / steps for time, steps in fractions)
        found.append(Bar(title, name, worst, CUTOFF, is_upper=True))
    faster = [1 / x for x in ratios(case, [times(case, f"{best}, 2 threads")], one)]
    if faster:
        found.append(Bar("2 threads over 1", name, min(faster), THREADS))
    return found


def cutoff_fractions(case: Json) -> list[tuple[float, float]]:
    """Return, round by round, the fraction of the time and of the timesteps."""
    best = next(iter(case["contenders"])).partition(",")[0]
    key = f"{best}, 1 thread, cutoff"
    if key not in case["contenders"]:
        return []
    found = ratios(case, [times(case, key)], f"{best}, 1 thread")
    steps = [note["timesteps"] for note in case["contenders"][key]["notes"]]
    whole = case["facts"]["timesteps"]
    return [(time, step / whole) for time, step in zip(found, steps, strict=False)]


def _layers(result: Json) -> list[Bar]:
    return [
        Bar("share of the event limit at 15 %", name, share, SHARE)
        for name, share in result["limit"].items()
        if name.startswith("conv")
    ]


def main() -> None:
    """Print the bars of the latest results, or of those in a file."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else LATEST
    result = json.loads(path.read_text("utf-8"))
    for bar in bars(result):
        print(bar.text)


if __name__ == "__main__":
    main()

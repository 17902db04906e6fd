"""docs/speed.md: its table is what ``make bench`` recorded last."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bars import times
from benchmarks.tables import median

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = (
    ROOT / "docs" / "speed.md",
    ROOT / "benchmarks" / "results" / "latest.json",
)
START, END = "<!-- recorded -->\n", "<!-- end of recorded -->\n"
NETWORKS = ("N1", "N2", "N3")
FRAMEWORKS = ("norse", "snntorch", "spikingjelly")
PEERS = {
    "Lava's fixed-point simulator (the same spikes)": ("lava, 1 thread",),
    "best of Norse, snnTorch, SpikingJelly, one input": tuple(
        f"{name}, 1 thread, batch 1" for name in FRAMEWORKS
    ),
    "the same, at their best batch": tuple(
        f"{name}, 1 thread, batch best" for name in FRAMEWORKS
    ),
    "torch.compile, one input": ("torch.compile, 1 thread, batch 1",),
    "torch.compile, at its best batch": ("torch.compile, 1 thread, batch best",),
}


def test_the_page_is_what_was_recorded(request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(START)
    _, after = rest.split(END)
    text = before + START + recorded() + END + after

    if request.config.getoption("--update-golden"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text


def recorded() -> str:
    """Return the table of microseconds per input and timestep, and where it is from."""
    result = json.loads(RESULTS.read_text(encoding="utf-8"))
    cases = [result["cases"][name] for name in NETWORKS]
    ours = [median(times(case, next(iter(case["contenders"])))) for case in cases]
    instructions = next(iter(cases[0]["contenders"])).partition(",")[0]
    lines = [
        f"| | {' | '.join(NETWORKS)} | against the engine |",
        "|---|---|---|---|---|",
        f"| engine ({instructions}), one input after the other | {_cells(ours)} | 1 |",
    ]
    for title, keys in PEERS.items():
        best = [_best(case, keys) for case in cases]
        if None in best:
            lines.append(f"| {title} | not measured | | | |")
            continue
        found = [value for value in best if value is not None]
        over = [theirs / mine for theirs, mine in zip(found, ours, strict=True)]
        against = f"{_number(min(over))} to {_number(max(over))} times"
        lines.append(f"| {title} | {_cells(found)} | {against} |")
    where = (
        f"Recorded {result['date'][:10]} at commit {result['code']}, "
        f"{result['machine']['name']}, {result['machine']['cores']} cores."
    )
    return "\n".join([*lines, "", where, ""])


def _best(case: dict[str, Any], keys: tuple[str, ...]) -> float | None:
    found = [times(case, key) for key in keys if key in case["contenders"]]
    return min((median(some) for some in found if some), default=None)


def _cells(values: list[float]) -> str:
    return " | ".join(map(_number, values))


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

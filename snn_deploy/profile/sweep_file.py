"""Read what a sweep is to try: a TOML file that names a network, inputs and ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from snn_deploy.chip.target_file import read_target
from snn_deploy.errors import DataError
from snn_deploy.files.toml import read_toml

MOST_POINTS = 10_000
MOST_BITS = 8
KINDS = {
    "model": str, "calibration": str, "data": str, "limit": int, "confidence": float,
    "vary": dict,
}  # fmt: skip
VARIED = {"target": str, "weight_bits": int, "timesteps": int, "budget": float}
NEEDED = ("model", "calibration", "data")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One way to compile and to stop a network; 0: as target or model say."""

    target: str
    weight_bits: int
    timesteps: int
    budget: float


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A network, its inputs, and the ways to try."""

    model: Path
    calibration: Path
    data: Path
    limit: int  # of the inputs to profile; 0: all
    confidence: float
    points: tuple[Point, ...]


def read_sweep(path: Path) -> Sweep:
    """Return what the TOML file at ``path`` asks for; files are relative to it.

    Raises
    ------
    DataError
        If it is not TOML, lacks a key, or has one that means nothing here.
    """
    try:
        table = read_toml(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except ValueError as error:
        raise DataError(f"{path}: not a TOML file ({error}); mend it") from None
    _check(path, "", table, KINDS)
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; add it")
    varied = table.get("vary", {})
    lists = {k: v if isinstance(v, list) else [v] for k, v in varied.items()}
    for name, values in lists.items():
        for value in values:
            _check(path, " in [vary]", {name: value}, VARIED)
    ways: dict[str, list[Any]] = {
        "target": ["loihi-sim"],
        "weight_bits": [0],
        "timesteps": [0],
        "budget": [0.01],
        **lists,
    }
    ways["target"] = [
        str(path.parent / name) if name.endswith(".toml") else name
        for name in ways["target"]
    ]
    n_points = prod(map(len, ways.values()))
    if not 1 <= n_points <= MOST_POINTS:
        raise DataError(
            f"{path}: [vary] gives {n_points} ways; give 1 to {MOST_POINTS}"
        )
    points = [
        Point(target=target, weight_bits=bits, timesteps=n, budget=float(budget))
        for target, bits, n, budget in product(*(ways[name] for name in VARIED))
    ]
    _check_points(path, points)
    return Sweep(
        **{name: path.parent / table[name] for name in NEEDED},
        limit=table.get("limit", 0),
        confidence=float(table.get("confidence", 0.9)),
        points=tuple(dict.fromkeys(points)),
    )


def _check_points(path: Path, points: Sequence[Point]) -> None:
    for name in {point.target for point in points}:
        read_target(name)
    for point in points:
        if point.weight_bits > MOST_BITS or point.budget >= 1:
            raise DataError(
                f"{path}: [vary] has weights of {point.weight_bits} bits and a budget "
                f"of {point.budget:g}; give 2 to {MOST_BITS}, and a share under 1"
            )


def _check(
    path: Path, where: str, table: Mapping[str, object], kinds: Mapping[str, type]
) -> None:
    for name, value in table.items():
        if name not in kinds:
            close = get_close_matches(name, kinds, n=1)
            hint = f"did you mean {close[0]!r}?" if close else ""
            choices = hint or f"choose from {', '.join(kinds)}"
            raise DataError(f"{path}: {name!r}{where} means nothing; {choices}")
        kind = (int, float) if kinds[name] is float else kinds[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(
                f"{path}: {name!r}{where} is {value!r}; give a {kinds[name].__name__}"
            )
        if isinstance(value, int | float) and not 0 < value < float("inf"):
            raise DataError(f"{path}: {name!r}{where} is {value}; give one over 0")

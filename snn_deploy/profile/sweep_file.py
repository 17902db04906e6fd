"""Read what a sweep is to try: a TOML file that names a network, inputs and ways."""

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated

from snn_deploy.chip.target_file import read_target
from snn_deploy.errors import DataError
from snn_deploy.files.schema import Allowed, PositiveInt, Schema, read_toml

MOST_POINTS = 10_000
WeightBits = Annotated[int, Allowed(least=2, most=8)]
ShareInside = Annotated[float, Allowed(over=0, below=1)]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One way to compile and to stop a network; 0: as target or model say."""

    target: str
    weight_bits: int
    timesteps: int
    budget: float


@dataclass(frozen=True, kw_only=True)
class Varied:
    """What [vary] lists; every combination is tried."""

    target: tuple[str, ...] = ("loihi-sim",)
    weight_bits: tuple[WeightBits, ...] = (0,)
    timesteps: tuple[PositiveInt, ...] = (0,)
    budget: tuple[ShareInside, ...] = (0.01,)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A network, its inputs, and the ways to try."""

    model: Path
    calibration: Path
    data: Path
    vary: Varied = Varied()
    limit: PositiveInt = 0  # of the inputs to profile; 0: all
    confidence: ShareInside = 0.9

    @property
    def points(self) -> tuple[Point, ...]:
        """The ways, each once."""
        vary = self.vary
        ways = product(vary.target, vary.weight_bits, vary.timesteps, vary.budget)
        return tuple(
            dict.fromkeys(
                Point(target=target, weight_bits=bits, timesteps=n, budget=budget)
                for target, bits, n, budget in ways
            )
        )


def read_sweep(path: Path) -> Sweep:
    """Return what the TOML file at ``path`` asks for; files are relative to it.

    Raises
    ------
    DataError
        If it is not TOML, lacks a key, or has an unknown one.
    """
    schema = Schema(file=str(path), error=DataError)
    table = read_toml(path, DataError)
    if isinstance(varied := table.get("vary"), dict):  # one value is a list of one
        lists = {k: v if isinstance(v, list) else [v] for k, v in varied.items()}
        table["vary"] = lists
    sweep = schema.build(Sweep, table)
    n_points = prod(map(len, vars(sweep.vary).values()))
    if not 1 <= n_points <= MOST_POINTS:
        raise schema.fault("vary", f"gives {n_points} ways; give 1 to {MOST_POINTS}")
    home = path.parent
    targets = tuple(
        str(home / name) if name.endswith(".toml") else name
        for name in sweep.vary.target
    )
    for name in {*targets}:
        read_target(name)
    return replace(
        sweep,
        model=home / sweep.model,
        calibration=home / sweep.calibration,
        data=home / sweep.data,
        vary=replace(sweep.vary, target=targets),
    )

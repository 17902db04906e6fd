"""Chips: limits, precision, abilities and costs, read from one TOML file each."""

import difflib
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from snn_deploy.errors import TargetError
from snn_deploy.files import packaged_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def _check_counts(limits: object) -> None:
    for name, value in vars(limits).items():
        if type(value) is int and value < 1:
            raise TargetError(f"{name!r} is {value}; at least 1 is needed")


@dataclass(frozen=True, kw_only=True)
class NeurocoreLimits:
    """What one neurocore holds."""

    compartments: int
    synaptic_memory_bits: int
    input_axons: int
    output_axons: int
    shares_kernels: bool  # True: a convolution stores each kernel once per neurocore
    source: str

    def __post_init__(self) -> None:
        _check_counts(self)


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """How neurocores lie: tiles on a grid, packets travel along x, then y."""

    neurocores: int  # usable on one chip
    neurocores_per_tile: int
    height: int  # tiles
    width: int
    source: str

    def __post_init__(self) -> None:
        _check_counts(self)


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The registers and what the chip's neurons can do."""

    weight_bits: int  # stored, sign included
    weight_exponent_min: int
    weight_exponent_max: int
    accumulator_bits: int  # of the weighted sum of one timestep, sign included
    current_decay_offset: int  # added to the decay register of the current
    current_decay_min: int  # the smallest register
    delay_max: int  # timesteps beyond the one that every spike takes
    soft_reset: bool
    graded_spikes: bool
    per_neuron_parameters: bool  # threshold and reset amount of each neuron its own
    source: str

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weight_bits", 8, 8),  # what quantize can do
            ("accumulator_bits", 9, 24),
            ("weight_exponent_max", self.weight_exponent_min, 32),
            ("current_decay_offset", 0, 1),
            ("delay_max", 0, 1 << 16),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise TargetError(f"{name!r} is {value}; allowed is {low} to {high}")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The price of one event, or of one unit of something that lasts.

    ``None`` is unknown. ``high`` is the upper end of the band.
    """

    energy_j: float | None = None
    energy_high_j: float | None = None
    time_s: float | None = None
    time_high_s: float | None = None
    power_w: float | None = None
    power_high_w: float | None = None
    source: str

    def __post_init__(self) -> None:
        for name in CENTRAL:
            central, high = getattr(self, name), getattr(self, _high(name))
            if high is not None and (central is None or high < central):
                raise TargetError(
                    f"{_high(name)!r} is under {name!r}, or alone; give both"
                )


@dataclass(frozen=True, kw_only=True)
class Barrier:
    """How long the chip-wide synchronization of a timestep takes, by tiles in use."""

    tiles: tuple[int, ...]  # ascending
    time_s: tuple[float, ...]
    time_high_s: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        sizes = {len(self.tiles), len(self.time_s), len(self.time_high_s)}
        if len(sizes) > 1 or not self.tiles or [*self.tiles] != sorted(self.tiles):
            raise TargetError(
                "tiles and times must be lists of one length, tiles ascending; give "
                "a time for each number of tiles"
            )

    def time(self, n_tiles: int, *, high: bool) -> float:
        """Return the time for ``n_tiles`` [s]: that of the last entry not over it."""
        times = self.time_high_s if high else self.time_s
        below = [i for i, tiles in enumerate(self.tiles) if tiles <= max(n_tiles, 1)]
        return times[below[-1] if below else 0]


EVENTS = (
    "synaptic_operation",
    "access",
    "update",
    "fire",
    "packet",
    "packet_in",
    "hop_east_west",
    "hop_north_south",
)
OTHER_COSTS = ("static", "reset", "injection", "poll_embedded", "poll_host", "host")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of chip."""

    name: str
    description: str
    energy_note: str  # printed with every energy; empty when there is nothing to say
    neurocore: NeurocoreLimits
    mesh: Mesh
    precision: Precision
    barrier: Barrier
    costs: tuple[tuple[str, Cost], ...]

    def cost(self, name: str) -> Cost:
        """Return a price; everything in it is unknown where the file has none."""
        return dict(self.costs).get(name, Cost(source="unknown"))


IN_WORDS = {int: "a whole number", bool: "true or false", str: "a text"}
CENTRAL = ("energy_j", "time_s", "power_w")
UNITS = {"pj": 1e-12, "uj": 1e-6, "ns": 1e-9, "us": 1e-6, "mw": 1e-3}
SI = {"pj": "j", "uj": "j", "ns": "s", "us": "s", "mw": "w"}


def target_names() -> list[str]:
    """Return the names of the targets that come with snn-deploy."""
    return sorted(path.stem for path in packaged_folder("targets").glob("*.toml"))


def read_target(name: str) -> Target:
    """Return the target called ``name``, or that of the TOML file at this path.

    Raises
    ------
    TargetError
        If there is no such target, or its file is wrong.
    """
    if name.endswith(".toml"):
        return _read_file(Path(name))
    names = target_names()
    if name in names:
        return _read_file(packaged_folder("targets") / f"{name}.toml")
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"choose {', '.join(names)}"
    raise TargetError(
        f"no target is called {name!r}; {hint} (a file of your own ends in .toml)"
    )


def _read_file(path: Path) -> Target:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TargetError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TargetError(f"{path}: not a TOML file ({error}); mend it") from None
    return target_from_table(table, str(path))


def target_from_table(table: Mapping[str, Any], where: str) -> Target:
    """Return the target that a TOML table describes."""
    table = {key: _si(value) for key, value in table.items()}
    costs = table.pop("cost", {})
    if not isinstance(costs, dict):
        raise TargetError(
            f"{where}: 'cost' is no table; write [cost.synaptic_operation]"
        )
    unknown = set(costs) - {*EVENTS, *OTHER_COSTS}
    if unknown:
        raise TargetError(
            f"{where}: [cost.{sorted(unknown)[0]}] is no cost; choose from "
            f"{', '.join(EVENTS + OTHER_COSTS)}"
        )
    groups: dict[str, Any] = {
        "neurocore": NeurocoreLimits,
        "mesh": Mesh,
        "precision": Precision,
        "barrier": Barrier,
    }
    values = {key: table.pop(key, {}) for key in groups}
    parts = {
        key: _build(kind, values[key], f"{where}: [{key}]")
        for key, kind in groups.items()
    }
    prices = tuple(
        (name, _build(Cost, _with_high(costs[name]), f"{where}: [cost.{name}]"))
        for name in sorted(costs)
    )
    return _build(Target, {"energy_note": "", **table, **parts, "costs": prices}, where)


def _with_high(cost: Any) -> Any:
    """Return a price whose upper end is the central value where none is given."""
    if not isinstance(cost, dict):
        return cost
    central = {name: cost[name] for name in CENTRAL if name in cost}
    return {_high(name): value for name, value in central.items()} | cost


def _high(name: str) -> str:
    return f"{name[:-2]}_high_{name[-1]}"


def _si(value: Any) -> Any:
    """Return a table with every number in SI units, its key renamed to match."""
    if not isinstance(value, dict):
        return value
    converted: dict[str, Any] = {}
    for key, item in value.items():
        prefix, _, unit = key.rpartition("_")
        if unit in UNITS and isinstance(item, list):
            converted[f"{prefix}_{SI[unit]}"] = [x * UNITS[unit] for x in item]
        elif unit in UNITS and isinstance(item, int | float):
            converted[f"{prefix}_{SI[unit]}"] = item * UNITS[unit]
        else:
            converted[key] = _si(item)
    return converted


def _build(kind: type[T], table: object, where: str) -> T:
    """Return a dataclass from a table with exactly its keys."""
    if not isinstance(table, dict):
        raise TargetError(f"{where}: is no table; write one with its keys")
    hints = get_type_hints(kind)
    needed = [f.name for f in fields(kind) if f.default is MISSING]  # type: ignore[arg-type]
    for name in needed:
        if name not in table:
            raise TargetError(f"{where}: has no {name!r}; add it")
    for name, value in table.items():
        if name not in hints:
            close = difflib.get_close_matches(name, list(hints), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "remove it"
            raise TargetError(f"{where}: has an unknown key {name!r}; {hint}")
        if not _is_a(value, hints[name]):
            wanted = IN_WORDS.get(hints[name], "numbers, 0 or more")
            raise TargetError(f"{where}: {name!r} is {value!r}; give {wanted}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    try:
        return kind(**values)
    except TargetError as error:
        raise TargetError(f"{where}: {error}") from None


def _is_a(value: object, hint: Any) -> bool:
    if hint in (int, bool, str):
        return type(value) is hint
    if hint == float | None:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 <= value < float("inf")
        )
    if isinstance(value, list):
        return all(_is_a(x, float | None) for x in value)
    return isinstance(value, tuple | NeurocoreLimits | Mesh | Precision | Barrier)

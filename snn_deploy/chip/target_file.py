"""Read the TOML files that describe chips."""

import difflib
import sys
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from snn_deploy.chip.neurocore import NeurocoreLimits
from snn_deploy.chip.target import (
    CENTRAL,
    OTHER_COSTS,
    PRICED_EVENTS,
    Barrier,
    Board,
    Cost,
    Mesh,
    Precision,
    Target,
    high_name,
)
from snn_deploy.errors import TargetError
from snn_deploy.files.toml import read_toml
from snn_deploy.files.writing import packaged_folder

T = TypeVar("T")

IN_WORDS = {
    int: "a whole number",
    int | None: "a whole number",
    bool: "true or false",
    str: "a text",
    tuple[int, ...]: "a list of whole numbers, 0 or more",
}
UNITS = {
    **{"fj": 1e-15, "pj": 1e-12, "nj": 1e-9, "uj": 1e-6, "mj": 1e-3},
    **{"ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3},
    **{"uw": 1e-6, "mw": 1e-3},
}
SI = {unit: unit[-1] for unit in UNITS}


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
        table = read_toml(path)
    except FileNotFoundError:
        raise TargetError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise TargetError(f"{path}: not a TOML file ({error}); mend it") from None
    return target_from_table(table, str(path))


def target_from_table(table: Mapping[str, Any], where: str) -> Target:
    """Return the target that a TOML table describes."""
    groups: dict[str, Any] = {
        "neurocore": NeurocoreLimits,
        "mesh": Mesh,
        "precision": Precision,
        "barrier": Barrier,
        "board": Board,
    }
    texts = {field.name for field in fields(Target)} - {*groups, "costs"}
    _check_keys(table, {*texts, *groups, "cost"}, where)
    costs = table.get("cost", {})
    if not isinstance(costs, dict):
        raise TargetError(
            f"{where}: 'cost' is no table; write [cost.synaptic_operation]"
        )
    _check_keys(costs, {*PRICED_EVENTS, *OTHER_COSTS}, f"{where}: [cost]")
    for key, kind in groups.items():
        _check_keys(table.get(key, {}), _keys(kind), f"{where}: [{key}]")
    for key, cost in costs.items():
        _check_keys(cost, _keys(Cost), f"{where}: [cost.{key}]")
    table = {key: _si(value) for key, value in table.items()}
    costs = table.pop("cost", {})
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


def _check_keys(table: object, allowed: Collection[str], where: str) -> None:
    """Raise a ``TargetError`` that names a key nobody reads, and what it may mean."""
    if not isinstance(table, Mapping):
        return  # ``_build`` refuses it
    for key in table:
        if key not in allowed:
            close = difflib.get_close_matches(key, sorted(allowed), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "remove it; known are "
            known = "" if close else ", ".join(sorted(allowed))
            raise TargetError(f"{where}: has an unknown key {key!r}; {hint}{known}")


def _keys(kind: type[Any]) -> set[str]:
    """Return the keys of a table, with every unit that a number may have."""
    found = set()
    for field in fields(kind):
        stem, _, unit = field.name.rpartition("_")
        found |= {field.name, *(f"{stem}_{u}" for u, si in SI.items() if si == unit)}
    return found


def _with_high(cost: Any) -> Any:
    """Return a price whose upper end is the central value where none is given."""
    if not isinstance(cost, dict):
        return cost
    central = {name: cost[name] for name in CENTRAL if name in cost}
    return {high_name(name): value for name, value in central.items()} | cost


def _si(value: Any) -> Any:
    """Return a table with every number in SI units, its key renamed to match."""
    if not isinstance(value, dict):
        return value
    converted: dict[str, Any] = {}
    for key, item in value.items():
        prefix, _, unit = key.rpartition("_")
        numbers = item if isinstance(item, list) else [item]
        if unit not in UNITS or not all(_is_a(x, float | None) for x in numbers):
            converted[key] = _si(item)
        elif isinstance(item, list):
            converted[f"{prefix}_{SI[unit]}"] = [x * UNITS[unit] for x in item]
        else:
            converted[f"{prefix}_{SI[unit]}"] = item * UNITS[unit]
    return converted


def _build(kind: type[T], table: object, where: str) -> T:
    """Return a dataclass from a table with exactly its keys."""
    if not isinstance(table, dict):
        raise TargetError(f"{where}: is no table; write one with its keys")
    hints = get_type_hints(kind)
    for name, value in table.items():
        hint = hints.get(name, float | None)  # in another unit, and no price
        if not _is_a(value, hint):
            wanted = IN_WORDS.get(hint, "numbers, 0 or more")
            raise TargetError(f"{where}: {name!r} is {value!r}; give {wanted}")
    needed = [f.name for f in fields(kind) if f.default is MISSING]  # type: ignore[arg-type]
    for name in needed:
        if name not in table:
            raise TargetError(f"{where}: has no {name!r}; add it")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    try:
        return kind(**values)
    except TargetError as error:
        raise TargetError(f"{where}: {error}") from None


def _is_a(value: object, hint: Any) -> bool:
    if hint in (int, bool, str):
        return type(value) is hint
    if hint == int | None:
        return type(value) is int
    if hint == float | None:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 <= value <= sys.float_info.max  # TOML has larger whole numbers
        )
    if hint == tuple[int, ...]:
        return isinstance(value, list) and all(_is_a(x, int) and x >= 0 for x in value)
    if isinstance(value, list):
        return all(_is_a(x, float | None) for x in value)
    return isinstance(
        value, tuple | NeurocoreLimits | Mesh | Precision | Barrier | Board
    )

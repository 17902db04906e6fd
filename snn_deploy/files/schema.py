"""Read dataclasses from TOML files of strangers: bounded in size, faults with place.

The fields of a dataclass are the keys of a table, and their types say what may stand
there: a dataclass a table, a tuple a list, an enum one of its words, ``Annotated[int,
Allowed]`` a number within bounds. A number whose name ends in a unit of ``SI`` may be
given in others: ``energy_pj`` is read into ``energy_j``. A field whose ``metadata``
have a ``key`` is called so in files.
"""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import reduce
from math import inf
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST = 1 << 16  # bytes; the time to parse may grow with their square
DEEPEST = 16  # tables and lists inside one another
SI = {
    "j": {"fj": 1e-15, "pj": 1e-12, "nj": 1e-9, "uj": 1e-6, "mj": 1e-3, "j": 1},
    "s": {"ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1},
    "w": {"uw": 1e-6, "mw": 1e-3, "w": 1},
}
ONE = {bool: "true or false", str: "a text", int: "a whole number", float: "a number"}
MANY = {str: "texts", int: "whole numbers", float: "numbers"}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What a number may be."""

    over: float = -inf
    least: float = -inf
    most: float = inf
    below: float = inf

    def hold(self, value: float) -> bool:
        """Whether ``value`` lies within them."""
        return self.over < value < self.below and self.least <= value <= self.most

    def __str__(self) -> str:
        words = {
            "over {:g}": self.over,
            "{:g} or more": self.least,
            "at most {:g}": self.most,
            "below {:g}": self.below,
        }
        parts = [text.format(x) for text, x in words.items() if abs(x) < inf]
        return " and ".join(parts)


PositiveInt = Annotated[int, Allowed(over=0)]
Natural = Annotated[int, Allowed(least=0)]
Positive = Annotated[float, Allowed(over=0)]
NotNegative = Annotated[float, Allowed(least=0)]
Share = Annotated[float, Allowed(least=0, most=1)]


def read_toml(
    path: Path, error: type[Exception], *, largest: int = LARGEST
) -> dict[str, Any]:
    """Return the tables of the file at ``path``, which has up to ``largest`` bytes.

    Raises
    ------
    error
        If it cannot be read, is no TOML file, or is too large or too deep for one that
        a person writes.
    """
    try:
        return _parsed(path, largest)
    except FileNotFoundError:
        raise error(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as fault:
        raise error(f"{path}: not a TOML file ({fault}); mend it") from None


def _parsed(path: Path, largest: int) -> dict[str, Any]:
    size = path.stat().st_size
    if size > largest:
        raise ValueError(f"{size} bytes, allowed are {largest}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"tables or lists over {DEEPEST} deep") from None
    level: list[Any] = [table]
    for _ in range(DEEPEST):
        level = [item for value in level for item in _inside(value)]
    if level:
        raise ValueError(f"tables or lists over {DEEPEST} deep")
    return table


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def parse_value(text: str) -> object:
    """Return a value as TOML writes it; a word needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def hint(word: str, choices: Collection[str]) -> str:
    """Return which of ``choices`` may be meant, or all of them."""
    close = get_close_matches(word, sorted(choices), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose from {', '.join(sorted(choices))}" if choices else "remove it"


@dataclass(frozen=True, kw_only=True)
class Schema:
    """How the tables of one file become dataclasses."""

    file: str
    error: type[Exception]
    kinds: Mapping[object, Mapping[str, type]] = field(default_factory=dict)
    # a type with the dataclasses that it may be, by the word at ``kind``

    def fault(self, path: str, text: str) -> Exception:
        """Return the error that says what is wrong in the table at ``path``."""
        return self.error(f"{self.file}: {f'[{path}]: ' if path else ''}{text}")

    def check_keys(self, table: object, known: Collection[str], path: str) -> None:
        """Raise an error for keys that are not ``known``: what they may mean."""
        self._raise(
            self.fault(path, f"unknown key {key!r}; {hint(key, known)}")
            for key in (table if isinstance(table, Mapping) else ())
            if key not in known
        )

    @contextmanager
    def _caught(self, faults: list[Exception]) -> Iterator[None]:
        try:
            yield
        except self.error as error:
            faults.append(error)

    def _raise(self, faults: Iterable[Exception]) -> None:
        """Raise an error that tells the first fault, and has all, if there are any."""
        found = [
            line
            for fault in faults
            for line in (getattr(fault, "faults", ()) or (str(fault),))
        ]
        if found:
            more = f" (and {len(found) - 1} more faults)" if len(found) > 1 else ""
            error = self.error(f"{found[0]}{more}")
            vars(error)["faults"] = tuple(found)
            raise error

    def build(self, kind: type[T], table: object, path: str = "") -> T:
        """Return a dataclass of this kind from the table at ``path``.

        The error tells everything that is wrong there and in the tables inside, but
        for what is missing beside an unknown key, which may be meant.
        """
        if not isinstance(table, Mapping):
            raise self.fault(path, f"is {table!r}; write a table")
        types = get_type_hints(kind, include_extras=True)
        known = {
            key: item.name
            for item in fields(kind)  # type: ignore[arg-type]
            for key in _keys(item.metadata.get("key", item.name), types[item.name])
        }
        faults: list[Exception] = []
        with self._caught(faults):
            self.check_keys(table, known, path)
        is_known = not faults
        values: dict[str, Any] = {}
        for key in [key for key in table if key in known]:
            name = known[key]
            if name in values:
                faults.append(
                    self.fault(path, f"{key!r} is given in two units; give one")
                )
            values[name] = None
            with self._caught(faults):
                values[name] = self._value(table[key], types[name], key, path)
        faults += [
            self.fault(path, f"has no {item.name!r}; add it")
            for item in fields(kind)  # type: ignore[arg-type]
            if is_known and item.name not in values and item.default is MISSING
        ]
        self._raise(faults)
        try:
            return kind(**values)
        except self.error as error:
            raise self.fault(path, str(error)) from None

    def _value(self, value: object, wanted: Any, key: str, path: str) -> Any:
        """Return what stands at ``key`` of the table at ``path`` as the wanted type."""
        wanted, inner = _without_none(wanted), f"{path}.{key}".lstrip(".")
        if wanted in self.kinds:
            return self._of_a_kind(self.kinds[wanted], value, inner)
        if is_dataclass(wanted):
            return self.build(wanted, value, inner)  # type: ignore[arg-type]
        if get_origin(wanted) is not tuple:
            return self._plain(value, wanted, key, path)
        item = get_args(wanted)[0]
        if get_origin(item) is tuple:  # pairs of a name and what stands there
            if not isinstance(value, Mapping):
                raise self.fault(inner, f"is {value!r}; write a table")
            parts = {name: value[name] for name in sorted(value)}
            found = self._every(parts, get_args(item)[1], inner)
            return tuple(zip(parts, found, strict=True))
        is_table = item in self.kinds or is_dataclass(item)
        if not is_table:
            return self._plain_list(value, item, key, path)
        if not isinstance(value, list):
            raise self.fault(
                path, f"{key!r} is not a list of tables; write [[{inner}]]"
            )
        return self._every({str(i): part for i, part in enumerate(value)}, item, inner)

    def _every(
        self, parts: Mapping[str, object], wanted: Any, path: str
    ) -> tuple[object, ...]:
        """Return all of these, each as the wanted type."""
        faults: list[Exception] = []
        found = []
        for key, part in parts.items():
            with self._caught(faults):
                found.append(self._value(part, wanted, key, path))
        self._raise(faults)
        return tuple(found)

    def _of_a_kind(self, kinds: Mapping[str, type], value: object, path: str) -> object:
        if not isinstance(value, Mapping):
            raise self.fault(path, f"is {value!r}; write a table")
        values = dict(value)
        word = values.pop("kind", None)
        if word not in [*kinds]:
            raise self.fault(path, f"'kind' is {word!r}; {hint(str(word), kinds)}")
        return self.build(kinds[word], values, path)

    def _plain_list(self, value: object, item: Any, key: str, path: str) -> object:
        values = value if isinstance(value, list) else [None]
        found = [_converted(x, item, key) for x in values]
        if None in found:
            words = _words(item, key, MANY)
            raise self.fault(path, f"{key!r} is {value!r}; give a list of {words}")
        return tuple(found)

    def _plain(self, value: object, wanted: Any, key: str, path: str) -> object:
        found = _converted(value, wanted, key)
        if found is not None:
            return found
        if isinstance(wanted, type) and issubclass(wanted, Enum):
            words = hint(str(value), [str(member.value) for member in wanted])
        else:
            words = f"give {_words(wanted, key, ONE)}"
        raise self.fault(path, f"{key!r} is {value!r}; {words}")


def _without_none(wanted: Any) -> Any:
    rest = [kind for kind in get_args(wanted) if kind is not NoneType]
    is_optional = isinstance(wanted, UnionType) and len(rest) < len(get_args(wanted))
    return reduce(or_, rest) if is_optional else wanted


def _keys(name: str, wanted: Any) -> tuple[str, ...]:
    """Return the keys of a field: one for each unit that a number may have."""
    stem, _, unit = name.rpartition("_")
    if unit not in SI or float not in _parts(wanted):
        return (name,)
    return tuple(f"{stem}_{unit}" for unit in SI[unit])


def _parts(wanted: Any) -> set[Any]:
    return {wanted}.union(*map(_parts, get_args(wanted)))


def _split(wanted: Any, key: str) -> tuple[Any, Allowed]:
    """Return the type and the bounds; what has a unit is 0 or more."""
    if get_origin(wanted) is Annotated:
        kind, bounds = get_args(wanted)
        return kind, bounds
    is_quantity = wanted is float and _factor(key) is not None
    return wanted, Allowed(least=0) if is_quantity else Allowed()


def _factor(key: str) -> float | None:
    unit = key.rpartition("_")[2] if "_" in key else ""
    return next((units[unit] for units in SI.values() if unit in units), None)


def _converted(value: Any, wanted: Any, key: str) -> object:
    """Return a value as the type of its field, in SI units; ``None``: it is another."""
    kind, bounds = _split(wanted, key)
    if issubclass(kind, Enum):
        return next((member for member in kind if member.value == value), None)
    if kind is Path:
        return Path(value) if isinstance(value, str) else None
    if kind is not float:
        is_fine = type(value) is kind and (kind is not int or bounds.hold(value))
        return value if is_fine else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not (abs(value) <= sys.float_info.max and bounds.hold(value)):
        return None
    return float(value) * (_factor(key) or 1)


def _words(wanted: Any, key: str, forms: Mapping[Any, str]) -> str:
    kind, bounds = _split(wanted, key)
    return f"{forms.get(kind, forms[str])}, {bounds}".removesuffix(", ")

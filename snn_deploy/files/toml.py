"""Read TOML files from strangers: of bounded size, bounded depth."""

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST = 1 << 16  # bytes; the time to parse may grow with their square
DEEPEST = 16  # tables and lists inside one another


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of the file at ``path``.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no TOML file, or too large or too deep for one that a person writes.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{size} bytes, allowed are {LARGEST}")
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

"""Arrays as C tables, each of the smallest type that holds it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import IntArray

# integers of C, the smallest first
TYPES = ("int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t")
WIDTH = 88  # of a line


def limits(ctype: str) -> tuple[int, int]:
    """Return the smallest and the largest number of a type."""
    info = np.iinfo(ctype.removesuffix("_t"))
    return int(info.min), int(info.max)


def size_of(ctype: str) -> int:
    """Return the bytes of a type."""
    return np.dtype(ctype.removesuffix("_t")).itemsize


def smallest_type(low: int, high: int, types: Iterable[str] = TYPES) -> str:
    """Return the first type that holds these numbers."""
    for ctype in types:
        least, most = limits(ctype)
        if least <= low and high <= most:
            return ctype
    raise AssertionError(f"no integer of C holds {low} to {high}")


@dataclass(frozen=True, kw_only=True, eq=False)
class CTable:
    """Constants of the program."""

    name: str
    values: IntArray
    meaning: str
    ctype: str = ""
    where: str = ""  # the layer or the projection, as the user calls it

    def __post_init__(self) -> None:
        values = self.values if self.values.size else np.zeros(1, np.int64)  # C has no
        object.__setattr__(self, "values", values)  # empty arrays
        if not self.ctype:
            ctype = smallest_type(int(values.min()), int(values.max()))
            object.__setattr__(self, "ctype", ctype)

    @property
    def n_bytes(self) -> int:
        return self.values.size * size_of(self.ctype)

    def text(self) -> Iterator[str]:
        """Yield the lines of the definition."""
        sizes = "".join(f"[{size}]" for size in self.values.shape)
        yield f"/* {self.meaning} */"
        yield f"static const {self.ctype} {self.name}{sizes} = {{"
        yield from _rows(self.values)
        yield "};"
        yield ""


def definition(ctype: str, name: str, values: IntArray) -> str:
    """Return a table of any number of axes in one text."""
    table = CTable(name=name, values=values, meaning="", ctype=ctype)
    return "\n".join([*table.text()][1:-1])


def _rows(values: IntArray) -> Iterator[str]:
    if values.ndim == 1:
        yield from _lines(values)
        return
    for row in values:
        yield "    {"
        yield from _rows(row)
        yield "    },"


def _lines(values: IntArray) -> Iterator[str]:
    texts = [_literal(v) for v in values.tolist()]
    per_line = max(1, (WIDTH - 4) // (max(map(len, texts)) + 2))
    for start in range(0, len(texts), per_line):
        yield "    " + ", ".join(texts[start : start + per_line]) + ","


def _literal(value: int) -> str:
    if value == -(1 << 31):  # -2147483648 is minus a number that is too large
        return "-2147483647 - 1"
    return str(value) if abs(value) < 1 << 31 else f"INT64_C({value})"


def in_comment(text: str) -> str:
    """Return a stranger's name as a comment may hold it."""
    return re.sub(r"[^\w .>#:=,;()+-]", "_", text, flags=re.ASCII)

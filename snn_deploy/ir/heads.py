"""What the outputs of a network stand for: a class or values, in its own units."""

import math
from collections import Counter
from dataclasses import dataclass
from enum import Enum

from snn_deploy.errors import ModelError
from snn_deploy.names import flaw_of, shown


class HeadKind(Enum):
    """What outputs side by side answer with."""

    CLASS = "class"  # the largest of them
    VALUES = "values"  # each of them is a number


@dataclass(frozen=True, kw_only=True)
class Head:
    """Outputs side by side that give one answer.

    In the units of the trained network a value is ``scale`` times the accumulated
    output, divided by the number of timesteps if it is a mean.
    """

    name: str  # empty: the only one
    n_outputs: int
    kind: HeadKind
    scale: float = 1.0
    is_mean: bool = False
    dropped: str = ""  # what the trained network does to its outputs behind this

    def __post_init__(self) -> None:
        for name in (self.name, self.dropped):
            if name and (flaw := flaw_of(name)):
                raise ModelError(f"{shown(name[:100])}: this name of a head {flaw}")
        if self.n_outputs < 1:
            raise ModelError(f"{self.name}: a head of {self.n_outputs} outputs; give 1")
        if not (math.isfinite(self.scale) and self.scale != 0):
            raise ModelError(
                f"{self.name}: the unit of a head is {self.scale}; give a finite "
                "number other than 0"
            )


def heads_of(
    told: tuple[Head, ...], n_outputs: int, *, is_mean: bool = False
) -> tuple[Head, ...]:
    """Return the heads of a network with so many outputs, at least one.

    If none are told, it is a single one: a value if it has one output, else a class.
    """
    if told:
        return told
    kind = HeadKind.VALUES if n_outputs == 1 else HeadKind.CLASS
    return (Head(name="", n_outputs=n_outputs, kind=kind, is_mean=is_mean),)


def part_of(heads: tuple[Head, ...], asked: str) -> tuple[Head, slice]:
    """Return the head that is called so, or the first, and which outputs are its."""
    names = [head.name for head in heads]
    position = names.index(asked) if asked else 0
    first = sum(head.n_outputs for head in heads[:position])
    return heads[position], slice(first, first + heads[position].n_outputs)


def check_heads(
    where: str, heads: tuple[Head, ...], n_outputs: int, asked: str = ""
) -> None:
    """Raise a ``ModelError`` unless the heads are all the outputs, each its own.

    ``asked`` is the one that answers, if it is not the first.
    """
    names = [head.name for head in heads]
    if asked and asked not in names:
        raise ModelError(
            f"{where}: no head is called {shown(asked)}; choose from "
            f"{', '.join(names) or 'none: it has a single one'}"
        )
    if not heads:
        return
    n = sum(head.n_outputs for head in heads)
    if n != n_outputs:
        raise ModelError(
            f"{where}: its heads have {n} outputs, the network has {n_outputs}; give "
            "each output one head"
        )
    for name, count in Counter(head.name for head in heads).items():
        if count > 1 or (not name and len(heads) > 1):
            raise ModelError(
                f"{where}: {count} heads are called {name!r}; give each its own name"
            )

"""Compare two networks in chip integers, parameter by parameter."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum

import numpy as np

from snn_deploy.arrays import AnyArray
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph

CLOSE = 1e-9  # scales are floats, which other machines round in another way


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A parameter of which some values are not what they should be."""

    layer: str
    parameter: str
    index: tuple[int, ...]  # of the first value that differs; empty: there is only one
    found: str
    expected: str
    count: int = 1

    def __str__(self) -> str:
        at = f" {list(self.index)}" if self.index else ""
        more = f" ({self.count} values differ)" if self.count > 1 else ""
        return (
            f"{self.layer}: {self.parameter}{at} is {self.found}, expected "
            f"{self.expected}{more}"
        )


def other_structure(found: QuantizedGraph, expected: QuantizedGraph) -> str | None:
    """Return the first way in which two networks cannot be compared, if there is one.

    That is everything but numbers: populations, shapes, and what leads where.
    """
    for what, mine, theirs in _structure(found, expected):
        if mine != theirs:
            return f"{what} is {_text(mine)}, the model gives {_text(theirs)}"
    return None


def _structure(
    found: QuantizedGraph, expected: QuantizedGraph
) -> Iterator[tuple[str, object, object]]:
    yield "the input", found.source.name, expected.source.name
    yield "the shape of the input", found.source.shape, expected.source.shape
    mine = tuple(p.name for p in found.populations)
    theirs = tuple(p.name for p in expected.populations)
    for a, b in zip(mine, theirs, strict=False):
        yield "a population", a, b
    yield "the number of populations", len(mine), len(theirs)
    for p, q in zip(found.populations, expected.populations, strict=True):
        yield f"the shape of {p.name}", p.shape, q.shape
    ends = [
        [(p.source, p.target) for p in graph.projections] for graph in (found, expected)
    ]
    for start, end in zip(*ends, strict=False):
        yield "a projection", " -> ".join(start), " -> ".join(end)
    yield "the number of projections", len(ends[0]), len(ends[1])
    for one, other in zip(found.projections, expected.projections, strict=True):
        kinds = [type(p.synapses).__name__ for p in (one, other)]
        yield f"the kind of weights of {one.name}", kinds[0], kinds[1]
        shapes = [p.synapses.weights.shape for p in (one, other)]
        yield f"the shape of the weights of {one.name}", shapes[0], shapes[1]
    yield "the read-out", found.output, expected.output


def compare(found: QuantizedGraph, expected: QuantizedGraph) -> list[Difference]:
    """Return every parameter in which two networks of one structure differ."""
    differences = [
        *_of("input", found.source, expected.source),
        *_of("training", found.training, expected.training),
        *_of("precision", found.precision, expected.precision),
    ]
    for p, q in zip(found.populations, expected.populations, strict=True):
        differences += _of(p.name, p, q)
    for a, b in zip(found.projections, expected.projections, strict=True):
        differences += _of(b.target, a, b, f" of {b.name}")
        differences += _of(b.target, a.synapses, b.synapses, f" of {b.name}")
    logs = [{(c.layer, c.kind, c.count) for c in g.changes} for g in (found, expected)]
    if logs[0] != logs[1]:
        layer, kind, count = sorted(logs[0] ^ logs[1])[0]
        has = [f"{kind}, {count} values" if (layer, kind, count) in log else "no such "
               "step" for log in logs]  # fmt: skip
        differences.append(
            Difference(
                layer=layer, parameter="change log", index=(), found=has[0],
                expected=has[1],
            )
        )  # fmt: skip
    return differences


def _of(
    layer: str, found: object, expected: object, where: str = ""
) -> Iterator[Difference]:
    shape = found.shape if isinstance(found, Population) else None
    for field in fields(found):  # type: ignore[arg-type]
        mine, theirs = getattr(found, field.name), getattr(expected, field.name)
        name = field.name.replace("_", " ") + where
        if isinstance(mine, np.ndarray):
            yield from _of_arrays(layer, name, mine, theirs, shape)
        elif not _is_nested(found, field.name) and mine != theirs:
            yield Difference(
                layer=layer,
                parameter=name,
                index=(),
                found=_text(mine),
                expected=_text(theirs),
            )


def _is_nested(value: object, name: str) -> bool:
    return isinstance(value, Projection) and is_dataclass(getattr(value, name))


def _of_arrays(
    layer: str,
    name: str,
    found: AnyArray,
    expected: AnyArray,
    shape: tuple[int, ...] | None,
) -> Iterator[Difference]:
    if shape is not None and found.shape != expected.shape:
        found, expected = (
            np.broadcast_to(found, shape),
            np.broadcast_to(expected, shape),
        )
    found, expected = np.broadcast_arrays(found, expected)
    differs = found != expected
    if found.dtype.kind == "f":
        differs &= ~np.isclose(found, expected, rtol=CLOSE, atol=0)
    if differs.any():
        index = tuple(int(i) for i in np.argwhere(differs)[0])
        yield Difference(
            layer=layer,
            parameter=name,
            index=index,
            found=_text(found[index]),
            expected=_text(expected[index]),
            count=int(np.count_nonzero(differs)),
        )


def _text(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value)

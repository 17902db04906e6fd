"""Find quantized activations (QCFS) that are written as arithmetic around a floor."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from snn_deploy.importers.torch.recognize.arithmetic import (
    CUTTING,
    LINEAR,
    Arithmetic,
    KindOf,
    is_arithmetic,
    sources_of,
)
from snn_deploy.importers.torch.recognize.polynomials import UnreadableError
from snn_deploy.importers.torch.recognize.replay import (
    OnTensors,
    as_array,
    replayed,
    smallest,
)
from snn_deploy.importers.torch.timestep import Before, Item
from snn_deploy.ir.floating import activation
from snn_deploy.ir.neurons import Qcfs

MAX_LEVELS = 256
FAR = 1e9  # from 0, where an activation is flat
N_VALUES = 1 << 16  # at which a row of operations is compared
EDGE = 1e-6  # of a step: closer to where one begins, rounding decides


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundStaircase:
    """A QCFS activation that was written as arithmetic."""

    kind: str  # what the user calls it
    node: Qcfs
    inputs: tuple[Item, ...]  # one
    outputs: tuple[Item, ...]  # one
    inside: frozenset[Item]
    delay: int = 0  # timesteps until an input acts

    @property
    def told(self) -> str:
        """What it was read as."""
        return (
            f"{self.kind}: read as a QCFS activation of {self.node.levels} levels up "
            f"to {self.node.threshold:.6g}"
        )


def find_staircases(
    items: Sequence[Item], used: Collection[Item], kind_of: KindOf
) -> list[FoundStaircase]:
    """Return the QCFS activations in one timestep of a forward.

    A row of operations on one value counts as one where it gives the same at all of
    many values. What is none is left alone.
    """
    arithmetic = Arithmetic(items, used, kind_of)
    floors = [item for item in items if item.operation == "floor"]
    return [found for floor in floors for found in _around(arithmetic, floor)]


def _around(arithmetic: Arithmetic, floor: Item) -> Iterator[FoundStaircase]:
    """Yield the activation with this floor in it: the longest row that is one."""
    row = [floor]
    while True:
        sources = list(sources_of(row[0]))
        if len(sources) != 1 or not _is_step(arithmetic, sources[0], row):
            break
        row.insert(0, sources[0])
    for start in range(len(row)):
        items = arithmetic.behind(row[start:], ())
        inputs = arithmetic.inputs(items)
        outer = [item for item in items if arithmetic.leaves(item, items)]
        is_late = any(isinstance(s, Before) for item in items for s in item.sources)
        if len(outer) != 1 or len(inputs) != 1 or is_late:
            continue
        steps = _steps(items, inputs[0], outer[0])
        if steps is None:
            continue
        shape = floor.shape
        node = Qcfs(
            name=arithmetic.free(floor.path, "activation"),
            shape=(shape[0], 1, shape[1]) if len(shape) == 2 else shape,
            threshold=steps[0],
            levels=steps[1],
        )
        yield FoundStaircase(
            kind=arithmetic.kind_of(floor.path),
            node=node,
            inputs=inputs,
            outputs=(outer[0],),
            inside=frozenset(items),
        )
        return


def _is_step(arithmetic: Arithmetic, item: Item, row: Sequence[Item]) -> bool:
    """Return whether an item is a step of the computation that ends in ``row``."""
    is_known = is_arithmetic(item) and item.operation in (*LINEAR, *CUTTING)
    return is_known and not arithmetic.leaves(item, row)


def _steps(
    items: Sequence[Item], source: Item, output: Item
) -> tuple[float, int] | None:
    """Return threshold and levels of what ``items`` do to a value, if it is QCFS."""
    shape = smallest(items, output.shape)
    if any(size != 1 for size in shape):
        return None  # other thresholds for other neurons

    def values(x: torch.Tensor) -> torch.Tensor:
        given = {source: [x.reshape(-1, *shape)]}
        on_tensors = OnTensors(output.shape, shape, len(x))
        (now,) = replayed(items, given, on_tensors)
        return torch.from_numpy(as_array(now[output], (len(x), *shape))).reshape(-1)

    try:
        low, high = values(torch.tensor([-FAR, FAR], dtype=torch.float64)).tolist()
        if low != 0 or not 0 < high < FAR:
            return None
        x = torch.linspace(-high, 2 * high, N_VALUES, dtype=torch.float64)
        found = values(x)
    except (UnreadableError, RuntimeError):  # of operations on other values
        return None
    levels = len(torch.unique(torch.round(found / high * 1e6))) - 1
    if not 0 < levels <= MAX_LEVELS:
        return None
    node = Qcfs(name="activation", shape=(1,), threshold=high, levels=levels)
    share = x.numpy() * levels / high + 0.5
    is_tie = np.abs(share - np.rint(share)) < EDGE
    expected = activation(node, x.numpy())
    is_same = np.isclose(expected, found.numpy(), rtol=1e-9, atol=1e-9 * high)
    return (high, levels) if np.all(is_same | is_tie) else None

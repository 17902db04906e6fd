"""Run a part of a timestep again, on tensors or on what stands for them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.importers.torch.recognize.operations import each
from snn_deploy.importers.torch.recognize.polynomials import UnreadableError
from snn_deploy.importers.torch.timestep import Before, Item

CONDITIONS = {"where": 0, "masked_fill": 1, "setitem": 1}  # which operand is one
NEED_TENSORS = ("heaviside", "maximum", "minimum")


class Apply(Protocol):
    """What makes calls, of tensors or of what stands for them."""

    def __call__(
        self, operation: str, operands: Sequence[Any], options: Mapping[str, Any]
    ) -> Any: ...

    def known(self, value: Any) -> Any:
        """Return what stands for a constant."""

    def initial(self, value: Any) -> Any:
        """Return what stands for a state before the first timestep."""


def replayed(
    items: Sequence[Item], inputs: Mapping[Item, Sequence[Any]], apply: Apply
) -> Iterator[dict[Item, Any]]:
    """Yield the values of ``items``, timestep by timestep, for these inputs."""
    before: dict[Item, Any] = {}

    def operand(source: Any) -> Any:
        if isinstance(source, Item):
            return now[source]
        if not isinstance(source, Before):
            return apply.known(source)
        if source.item in before:
            return before[source.item]
        return apply.initial(source.initial)

    for timestep in range(len(next(iter(inputs.values())))):
        now = {item: values[timestep] for item, values in inputs.items()}
        for item in items:
            options = {name: apply.known(v) for name, v in item.options.items()}
            now[item] = apply(item.operation, [*map(operand, item.sources)], options)
        yield now
        before = now


class OnTensors:
    """Makes calls as PyTorch does, of ``n`` inputs; gates are 0.0 and 1.0.

    Parameters
    ----------
    full : tuple of int
        The shape of the layer.
    shape : tuple of int
        That of the part that is computed.
    """

    def __init__(self, full: Shape, shape: Shape, n: int) -> None:
        self.full, self.shape, self.n = full, shape, n

    def __call__(
        self, operation: str, operands: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        operands = list(operands)
        if operation in ("to", "detach"):
            return operands[0]
        if operation in CONDITIONS:
            operands[CONDITIONS[operation]] = operands[CONDITIONS[operation]] != 0
        if operation.startswith(("logical_", "bitwise_")):
            operands = [operand != 0 for operand in operands]
        if operation in NEED_TENSORS or not isinstance(operands[0], torch.Tensor):
            operands = [torch.as_tensor(o, dtype=torch.float64) for o in operands]
        if operation == "setitem":
            changed, mask, value = operands
            return torch.where(mask, value, changed)
        function = next(
            (f for p in (torch, functional) if (f := getattr(p, operation, None))), None
        )
        if function is None:
            raise UnreadableError(f"calls {operation}")
        return function(*operands, **options).double()

    def known(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return torch.from_numpy(each(value, self.full))

    def initial(self, value: Any) -> Any:
        rest = torch.from_numpy(each(torch.as_tensor(value), self.full))
        return rest.expand(self.n, *self.shape).clone()


def as_array(value: Any, shape: Shape) -> FloatArray:
    """Return a value of a batch as an array."""
    found = torch.as_tensor(value).double().numpy()
    return np.broadcast_to(found, shape).copy()


def smallest(items: Sequence[Item], shape: Shape) -> Shape:
    """Return the shape of a layer with each of its parameters once.

    Along the other axes, all neurons compute the same.
    """
    constants = [
        source.initial if isinstance(source, Before) else source
        for item in items
        for source in (*item.sources, *item.options.values())
    ]
    arrays = [each(c, shape) for c in constants if isinstance(c, torch.Tensor)]
    return np.broadcast_shapes((1,) * len(shape), *(array.shape for array in arrays))

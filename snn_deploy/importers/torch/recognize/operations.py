"""The operations of PyTorch on polynomials, by their names.

A surrogate function is, forward, a comparison. What has no meaning here raises
``UnreadableError``, which names the operation.
"""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.importers.torch.recognize.polynomials import (
    Gates,
    Polynomial,
    UnreadableError,
    polynomial,
    tabulated,
)

UNCHANGED = ("to", "detach", "expand_as", "type_as", "view_as", "positive")
ALIASES = {  # further names for what is done here
    "square": "pow",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "bitwise_not": "logical_not",
    "fmax": "maximum",
    "fmin": "minimum",
    "max": "maximum",
    "min": "minimum",
    "index_put": "masked_fill",
    "setitem": "masked_fill",
    "clamp_min": "maximum",
    "clamp_max": "minimum",
    "new_zeros": "zeros_like",
    "zero": "zeros_like",
    "new_ones": "ones_like",
}


class Operations:
    """Operations on the values of one layer of neurons of ``shape``."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.gates = Gates()

    def __call__(
        self, operation: str, operands: Sequence[Any], options: Mapping[str, Any]
    ) -> Polynomial:
        """Return what an operation makes of polynomials and constants."""
        name = ALIASES.get(operation, operation)
        method: Callable[..., Polynomial] | None = getattr(self, f"_{name}", None)
        if name in UNCHANGED:
            return self._unchanged(operands, options)
        if method is None:
            raise UnreadableError(f"calls {operation}")
        try:
            return method(*operands, **options)
        except TypeError as error:
            raise UnreadableError(
                f"calls {operation} in a way that cannot be read"
            ) from error

    def value(self, given: Any) -> Polynomial:
        """Return a value as a polynomial, a tensor as one per neuron."""
        if isinstance(given, Polynomial):
            return given
        if isinstance(given, bool | int | float | np.ndarray | np.floating):
            return polynomial(given)
        if isinstance(given, torch.Tensor):
            return polynomial(each(given, self.shape))
        raise UnreadableError(f"computes with a {type(given).__name__}")

    def known(self, value: Any) -> Any:
        """Return what stands for a constant: itself."""
        return value

    def initial(self, value: Any) -> Polynomial:
        """Return what stands for a state before the first timestep."""
        return self.value(value)

    def _known(self, given: Any, what: str) -> FloatArray:
        value = self.value(given)
        if value.inputs or value.gates:
            raise UnreadableError(what)
        return value.constant

    def _unchanged(
        self, operands: Sequence[Any], options: Mapping[str, Any]
    ) -> Polynomial:
        value = self.value(operands[0])
        given = (*operands[1:], *options.values())
        kinds = [kind for kind in given if isinstance(kind, torch.dtype)]
        if torch.bool in kinds:
            return self._ne(value, 0.0)
        if any(not kind.is_floating_point for kind in kinds):
            return tabulated(value, np.trunc)
        return value

    # sums and products

    def _add(self, a: Any, b: Any, *, alpha: Any = 1) -> Polynomial:
        return self.value(a) + self.value(b) * self.value(alpha)

    def _sub(self, a: Any, b: Any, *, alpha: Any = 1) -> Polynomial:
        return self.value(a) - self.value(b) * self.value(alpha)

    def _mul(self, a: Any, b: Any) -> Polynomial:
        return self.value(a) * self.value(b)

    def _div(self, a: Any, b: Any, *, rounding_mode: str | None = None) -> Polynomial:
        divisor = self._known(b, "divides by a voltage")
        if rounding_mode is not None or np.any(divisor == 0):
            raise UnreadableError("divides and rounds, or divides by 0")
        value = self.value(a)
        return Polynomial({t: c / divisor for t, c in value.terms.items()})

    def _neg(self, a: Any) -> Polynomial:
        return self.value(a) * -1.0

    def _pow(self, a: Any, exponent: Any = 2) -> Polynomial:
        value = self.value(a)
        if exponent not in (1, 2, 3):
            raise UnreadableError(f"takes the power {exponent} of a voltage")
        return functools.reduce(operator.mul, [value] * int(exponent))

    def _lerp(self, a: Any, end: Any, weight: Any) -> Polynomial:
        start = self.value(a)
        return start + (self.value(end) - start) * self.value(weight)

    def _addcmul(self, a: Any, b: Any, c: Any, *, value: Any = 1) -> Polynomial:
        return self.value(a) + self._mul(b, c) * self.value(value)

    def _addcdiv(self, a: Any, b: Any, c: Any, *, value: Any = 1) -> Polynomial:
        return self.value(a) + self._div(b, c) * self.value(value)

    # comparisons

    def _gt(self, a: Any, b: Any) -> Polynomial:
        return self.gates.over_zero(self._sub(a, b), takes_zero=False)

    def _ge(self, a: Any, b: Any) -> Polynomial:
        return self.gates.over_zero(self._sub(a, b), takes_zero=True)

    def _lt(self, a: Any, b: Any) -> Polynomial:
        return self._gt(b, a)

    def _le(self, a: Any, b: Any) -> Polynomial:
        return self._ge(b, a)

    def _eq(self, a: Any, b: Any) -> Polynomial:
        return tabulated(self._sub(a, b), lambda known: known == 0)

    def _ne(self, a: Any, b: Any) -> Polynomial:
        return 1.0 - self._eq(a, b)

    def _heaviside(self, a: Any, values: Any) -> Polynomial:
        at_zero = self._known(values, "compares with a voltage")
        if not (np.all(at_zero == 0) or np.all(at_zero == 1)):
            raise UnreadableError("gives part of a spike at the threshold")
        takes_zero = bool(np.all(at_zero == 1))
        return self.gates.over_zero(self.value(a), takes_zero=takes_zero)

    def _sign(self, a: Any) -> Polynomial:
        return self._gt(a, 0.0) - self._lt(a, 0.0)

    # of gates

    def _logical_not(self, a: Any) -> Polynomial:
        return 1.0 - self._is_true(a)

    def _logical_and(self, a: Any, b: Any) -> Polynomial:
        return self._is_true(a) * self._is_true(b)

    def _logical_or(self, a: Any, b: Any) -> Polynomial:
        one, other = self._is_true(a), self._is_true(b)
        return one + other - one * other

    def _logical_xor(self, a: Any, b: Any) -> Polynomial:
        one, other = self._is_true(a), self._is_true(b)
        return one + other - 2.0 * one * other

    def _is_true(self, a: Any) -> Polynomial:
        return self._ne(a, 0.0)

    def _where(self, condition: Any, a: Any, b: Any) -> Polynomial:
        chosen = self._is_true(condition)
        return chosen * self.value(a) + (1.0 - chosen) * self.value(b)

    def _masked_fill(self, a: Any, mask: Any, value: Any) -> Polynomial:
        if isinstance(mask, tuple | list) and len(mask) == 1:
            mask = mask[0]  # of values written by index
        return self._where(mask, value, a)

    # cut off

    def _relu(self, a: Any) -> Polynomial:
        return self.gates.positive_part(self.value(a))

    def _maximum(self, a: Any, b: Any) -> Polynomial:
        return self.value(b) + self._relu(self._sub(a, b))

    def _minimum(self, a: Any, b: Any) -> Polynomial:
        return self.value(a) - self._relu(self._sub(a, b))

    def _clamp(self, a: Any, min: Any = None, max: Any = None) -> Polynomial:
        value = self.value(a)
        if min is not None:
            value = self._maximum(value, min)
        return value if max is None else self._minimum(value, max)

    def _hardtanh(self, a: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Polynomial:
        return self._clamp(a, min_val, max_val)

    def _abs(self, a: Any) -> Polynomial:
        return self._relu(a) + self._relu(self._neg(a))

    # written over

    def _fill(self, a: Any, value: Any) -> Polynomial:
        return self.value(value)

    def _zeros_like(self, a: Any, **_: Any) -> Polynomial:
        return polynomial(0.0)

    def _ones_like(self, a: Any, **_: Any) -> Polynomial:
        return polynomial(1.0)

    def _full_like(self, a: Any, value: Any, **_: Any) -> Polynomial:
        return self.value(value)

    def _copy(self, a: Any, source: Any, non_blocking: bool = False) -> Polynomial:
        return self.value(source)


def each(tensor: torch.Tensor, shape: Shape) -> FloatArray:
    """Return a tensor so that it broadcasts against neurons of ``shape``.

    Axes along which it is the same have length 1.

    Raises
    ------
    UnreadableError
        If the inputs of a batch have different values, or the shape is another.
    """
    values: FloatArray = tensor.detach().cpu().double().numpy()
    if values.ndim == len(shape) + 1:
        if np.any(values != values[:1]):
            raise UnreadableError("computes with other numbers for each input")
        values = values[0]
    try:
        np.broadcast_to(values, shape)
    except ValueError:
        raise UnreadableError(
            f"computes with numbers of shape {values.shape} for neurons of {shape}"
        ) from None
    for axis in range(values.ndim):
        one = values.take([0], axis)
        values = one if np.all(values == one) else values
    return values.reshape(()) if values.size == 1 else values

"""QuantizeLinear and DequantizeLinear: weights on a grid, activations of few levels."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.onnx.file import Operator
from snn_deploy.importers.onnx.layers import Steps

PER_CHANNEL = 1  # the axis that scales go along, if a file does not say


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """The values ``scale * (q - zero)``, of integers ``q`` from ``low`` to ``high``."""

    scale: FloatArray
    zero: FloatArray
    low: float
    high: float

    def is_same(self, other: "Levels") -> bool:
        """Return whether the values are those of another."""
        pairs = ((self.scale, other.scale), (self.zero, other.zero))
        return all(np.array_equal(a, b) for a, b in pairs)

    def rounded(self, steps: Steps, name: str) -> Steps:
        """Return the steps and the rounding to these levels.

        Raises
        ------
        ModelError
            If there is a level for each channel, or steps that cannot go before.
        """
        if self.scale.size != 1:
            raise ModelError(
                f"{name}: quantizes values with {self.scale.size} scales; only weights "
                "may have one for each channel, export one scale for each activation"
            )
        scale, zero = self.scale.item(), self.zero.item()
        steps = steps.then(name, "Mul", 1 / scale).then(name, "Add", 0.5)
        steps = steps.then(name, "Floor")
        steps = steps.then(name, "Clip", self.low - zero, self.high - zero)
        return steps.then(name, "Mul", scale)

    @property
    def cuts_at_zero(self) -> bool:
        """Whether what is below 0 becomes 0, as in a ReLU."""
        return bool(np.all(self.low == self.zero))

    def along(self, item: Operator, values: AnyArray) -> tuple[FloatArray, FloatArray]:
        """Return scale and zero so that they broadcast against stored values."""
        axis = item.attributes.get("axis", PER_CHANNEL)
        shape = [1] * values.ndim
        if self.scale.size > 1:
            shape[axis] = self.scale.size
        sizes = shape if self.scale.size > 1 else []
        return self.scale.reshape(sizes), self.zero.reshape(sizes)


def levels_of(
    item: Operator, name: str, scale: FloatArray, zero: AnyArray | None
) -> Levels:
    """Return the levels of an operator, from its stored scale and zero point."""
    if item.attributes.get("block_size", 0) or not np.all(scale > 0):
        raise ModelError(
            f"{name}: quantizes in blocks, or with a scale that is not over 0; export "
            "one scale for each weight, or each channel"
        )
    stored = np.zeros(1, np.uint8) if zero is None else zero
    if stored.dtype.kind not in "iu":
        raise ModelError(
            f"{name}: quantizes to values of other kinds than integers of 8 to 32 "
            "bits; export it so"
        )
    ends = np.iinfo(stored.dtype)
    return Levels(
        scale=scale,
        zero=np.broadcast_to(np.asarray(stored, np.float64).reshape(-1), scale.size),
        low=float(ends.min),
        high=float(ends.max),
    )

"""Recognize activations: the elementwise steps of an ONNX graph as one function.

QCFS has no operator of its own; exporters write it as divisions, a floor and clips in
some order. The steps from a layer to the next are composed: an affine function, cut to
a range, perhaps a floor, then another affine function, cut to a range.
"""

from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.balance import UNKNOWN
from snn_deploy.ir.neurons import Qcfs, Relu

INFINITY = float("inf")
CLOSE = 1e-4  # relative; exporters compute constants in single precision


@dataclass(frozen=True, kw_only=True)
class Piece:
    """``clip(gain * x + shift, low, high)``."""

    gain: float = 1.0
    shift: float = 0.0
    low: float = -INFINITY
    high: float = INFINITY

    def scaled(self, factor: float) -> "Piece":
        """Return this piece times a number."""
        ends = sorted((self.low * factor, self.high * factor))
        return Piece(
            gain=self.gain * factor,
            shift=self.shift * factor,
            low=ends[0],
            high=ends[1],
        )

    def shifted(self, by: float) -> "Piece":
        """Return this piece plus a number."""
        return Piece(
            gain=self.gain,
            shift=self.shift + by,
            low=self.low + by,
            high=self.high + by,
        )

    def clipped(self, low: float, high: float) -> "Piece":
        """Return this piece, cut to a range."""
        return replace(
            self,
            low=min(max(self.low, low), high),
            high=max(min(self.high, high), low),
        )


@dataclass(frozen=True)
class Steps:
    """The function of the steps so far: a piece, or a piece of a floored piece."""

    before: Piece = Piece()
    behind: Piece | None = None  # of the floor, once there is one

    def then(self, name: str, kind: str, *values: float) -> "Steps":
        """Return the steps and one more.

        Raises
        ------
        ModelError
            If no activation has two floors, or a factor of 0.
        """
        if kind == "Floor":
            if self.behind is not None:
                raise ModelError(f"{name}: a second floor, no activation has two")
            return replace(self, behind=Piece())
        piece = self.before if self.behind is None else self.behind
        match kind:
            case "Mul" if values[0] == 0:
                raise ModelError(f"{name}: a factor of 0, nothing passes; remove it")
            case "Mul":
                piece = piece.scaled(values[0])
            case "Add":
                piece = piece.shifted(values[0])
            case "Clip":
                piece = piece.clipped(values[0], values[1])
        if self.behind is None:
            return replace(self, before=piece)
        return replace(self, behind=piece)

    @property
    def is_activation(self) -> bool:
        """Whether there is more than a factor and a constant."""
        ends = (self.before.low, self.before.high)
        return self.behind is not None or ends != (-INFINITY, INFINITY)


def activation(name: str, shape: Shape, steps: Steps) -> Relu | Qcfs:
    """Return the activation that ``steps`` compute.

    Raises
    ------
    ModelError
        If it is neither a ReLU, cut off or not, nor QCFS.
    """
    if steps.behind is None:
        return _relu(name, shape, steps.before)
    return _qcfs(name, shape, steps.before, steps.behind)


def _relu(name: str, shape: Shape, piece: Piece) -> Relu:
    if piece.gain != 1 or piece.shift != 0 or piece.low != 0 or piece.high <= 0:
        raise ModelError(
            f"{name}: cuts {piece.gain:g} x + {piece.shift:g} to {piece.low:g} ... "
            f"{piece.high:g}; only a ReLU, 0 ... some maximum, can be deployed"
        )
    return Relu(name=name, shape=shape, maximum=min(piece.high, UNKNOWN))


def _qcfs(name: str, shape: Shape, before: Piece, behind: Piece) -> Qcfs:
    step = behind.gain  # what one level is worth
    lowest = max(np.floor(before.low) * step + behind.shift, behind.low)
    highest = min(np.floor(before.high) * step + behind.shift, behind.high)
    levels = highest / step if step > 0 else 0.0
    is_qcfs = (
        step > 0
        and np.isfinite(levels)
        and _close(before.gain * step, 1)
        and _close(before.shift, 0.5)
        and _close(levels, max(np.rint(levels), 1))
        and abs(lowest) <= CLOSE * step
        and abs(behind.shift) <= CLOSE * step
    )
    if not is_qcfs:
        raise ModelError(
            f"{name}: rounds {before.gain:g} x + {before.shift:g} down, times "
            f"{step:g}, within {lowest:g} ... {highest:g}; only QCFS, threshold * "
            "clip(floor(x * levels / threshold + 1/2) / levels, 0, 1), can be deployed"
        )
    return Qcfs(name=name, shape=shape, threshold=highest, levels=int(np.rint(levels)))


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= CLOSE * abs(b)

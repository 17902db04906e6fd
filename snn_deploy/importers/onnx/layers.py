"""Build the layers of ONNX's operators from their attributes and weights.

Activations are recognized: QCFS has no operator of its own; exporters write it as
divisions, a floor and clips in some order. The steps from a layer to the next are
composed: an affine function, cut to a range, perhaps a floor, then another affine
function, cut to a range.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.balance import UNKNOWN
from snn_deploy.importers.onnx.file import Operator
from snn_deploy.ir.neurons import Qcfs, Relu
from snn_deploy.ir.nodes import AvgPool2d, BatchNorm, Conv2d, Linear
from snn_deploy.ir.scatter import ConvTranspose2d, Upsample2d

Pair = tuple[int, int]


def convolution(
    item: Operator, name: str, weight: FloatArray, bias: FloatArray, shape: Shape
) -> Conv2d:
    """Return a 2d convolution; one over a line is one of height 1."""
    found = item.attributes
    if weight.ndim == 3:
        weight = weight[:, :, np.newaxis]
    if weight.ndim != 4:
        raise ModelError(
            f"{name}: a weight of shape {weight.shape}; only convolutions over 1 or 2 "
            "axes can be deployed"
        )
    kernel = weight.shape[2:]
    dilation = _pair(name, found.get("dilations"), 1)
    reach = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    return Conv2d(
        name=name,
        weight=weight,
        bias=np.broadcast_to(bias.reshape(-1), len(weight)),
        stride=_pair(name, found.get("strides"), 1),
        padding=_padding(name, found, reach),
        dilation=dilation,
        groups=int(found.get("group", 1)),
        shape=shape,
    )


def transposed(
    item: Operator, name: str, weight: FloatArray, bias: FloatArray, shape: Shape
) -> ConvTranspose2d:
    """Return a transposed 2d convolution; one over a line is one of height 1."""
    found = item.attributes
    if found.get("auto_pad", "NOTSET") != "NOTSET" or "output_shape" in found:
        raise ModelError(
            f"{name}: auto_pad or output_shape, which cannot be deployed; give pads"
        )
    if weight.ndim == 3:
        weight = weight[:, :, np.newaxis]
    groups = int(found.get("group", 1))
    return ConvTranspose2d(
        name=name,
        weight=weight,
        bias=np.broadcast_to(bias.reshape(-1), weight.shape[1] * groups),
        stride=_pair(name, found.get("strides"), 1),
        padding=_padding(name, found, (0, 0)),
        output_padding=_pair(name, found.get("output_padding"), 0, 0),
        dilation=_pair(name, found.get("dilations"), 1),
        groups=groups,
        shape=shape,
    )


# by how coordinates are meant: the roundings that give each value a whole factor often
_REPEATING = {
    "asymmetric": ("floor",),
    "half_pixel": ("round_prefer_floor", "round_prefer_ceil"),
    "pytorch_half_pixel": ("round_prefer_floor", "round_prefer_ceil"),
}


def upsampling(
    item: Operator, name: str, factors: FloatArray, shape: Shape
) -> Upsample2d:
    """Return a repetition of values, ``factors`` for batch, channels and positions."""
    found = item.attributes
    is_old = item.op_type == "Upsample"
    meant = found.get("coordinate_transformation_mode", "half_pixel")
    rounding = found.get("nearest_mode", "round_prefer_floor")
    is_repeating = rounding in _REPEATING.get(meant, ())
    is_nearest = found.get("mode", "nearest") == "nearest"
    along = tuple(factors[2:]) if len(factors) == 4 else (1.0, *factors[2:])
    is_whole = all(f == int(f) and f >= 1 for f in along) and np.all(factors[:2] == 1)
    if not (is_nearest and (is_repeating or is_old) and is_whole) or len(along) != 2:
        raise ModelError(
            f"{name}: resizes by {'x'.join(f'{f:g}' for f in factors)} in mode "
            f"{found.get('mode', 'nearest')} ({meant}, {rounding}); only nearest "
            "neighbors and whole factors can be deployed"
        )
    return Upsample2d(name=name, shape=shape, factor=(int(along[0]), int(along[1])))


def pads_of(item: Operator, sizes: Shape, kernel: Shape) -> tuple[int, ...]:
    """Return the zeros at the beginnings and the ends of all axes; none: without."""
    found = item.attributes
    kind = found.get("auto_pad", "NOTSET")
    pads = tuple(int(n) for n in found.get("pads", ()))
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        ones = (1,) * len(sizes)
        strides, dilations = found.get("strides", ones), found.get("dilations", ones)
        each = zip(sizes, kernel, strides, dilations, strict=True)
        less, more = zip(*(_halves(*along) for along in each), strict=True)
        return (*less, *more) if kind == "SAME_UPPER" else (*more, *less)
    return pads if kind == "NOTSET" else ()


def _halves(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Return the zeros on both sides that give a value for each stride, less first."""
    reach = (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1
    total = max(0, reach - size)
    return total // 2, total - total // 2


def fully_connected(
    item: Operator, name: str, weight: FloatArray, bias: FloatArray
) -> Linear:
    """Return a layer from every value of a row to every other."""
    found = item.attributes
    if weight.ndim != 2 or found.get("transA", 0):
        raise ModelError(
            f"{name}: a weight of shape {weight.shape}, transA "
            f"{found.get('transA', 0)}; only a matrix behind a row can be deployed"
        )
    is_turned = bool(found.get("transB", 0))
    turned = weight if is_turned else weight.T  # ours is (n_out, n_in)
    offset = float(found.get("beta", 1.0)) * bias.reshape(-1)
    if offset.size not in (1, len(turned)):
        raise ModelError(f"{name}: {offset.size} biases for {len(turned)} outputs")
    return Linear(
        name=name,
        weight=float(found.get("alpha", 1.0)) * turned,
        bias=np.broadcast_to(offset, len(turned)),
    )


def batch_norm(
    item: Operator, name: str, parameters: Sequence[FloatArray], shape: Shape
) -> BatchNorm:
    """Return a normalization with the statistics of the training."""
    found = item.attributes
    if found.get("training_mode", 0):
        raise ModelError(
            f"{name}: normalizes by the batch at hand; export the model in evaluation "
            "mode, model.eval()"
        )
    scale, shift, mean, variance = parameters
    return BatchNorm(
        name=name,
        shape=shape,
        mean=mean,
        variance=variance,
        scale=scale,
        shift=shift,
        epsilon=float(found.get("epsilon", 1e-5)),
    )


def average_pool(item: Operator, name: str, shape: Shape) -> AvgPool2d:
    """Return a pooling; one over a line is one of height 1."""
    found = item.attributes
    kernel = _pair(name, found.get("kernel_shape"), 1)
    stride = _pair(name, found.get("strides"), 1)
    padding = _padding(name, found, (kernel[0] - 1, kernel[1] - 1))
    rests = [
        (size + 2 * p - k) % s
        for size, p, k, s in zip(shape[1:], padding, kernel, stride, strict=False)
    ]
    counts_zeros = bool(found.get("count_include_pad", 0))
    if (
        (any(padding) and not counts_zeros)
        or (found.get("ceil_mode", 0) and any(rests))
        or any(d != 1 for d in found.get("dilations", ()))
    ):
        raise ModelError(
            f"{name}: windows that are cut at the edges (pads without "
            "count_include_pad, or ceil_mode), or dilated, cannot be deployed; use "
            "windows that tile the input"
        )
    return AvgPool2d(
        name=name, kernel=kernel, stride=stride, padding=padding, shape=shape
    )


def _pair(
    name: str, values: Sequence[int] | None, default: int, of_rows: int = 1
) -> Pair:
    sizes = tuple(int(n) for n in values) if values is not None else (default,) * 2
    if len(sizes) == 1:
        sizes = (of_rows, *sizes)
    if len(sizes) != 2:
        raise ModelError(
            f"{name}: {len(sizes)} axes beside the channels; only 1 or 2 can be "
            "deployed"
        )
    return sizes


def _padding(name: str, found: dict[str, Any], reach: Pair) -> Pair:
    """Return the zeros above and to the left; there are as many on the other sides."""
    kind = found.get("auto_pad", "NOTSET")
    if kind == "VALID":
        return 0, 0
    strides = found.get("strides", ())
    if kind.startswith("SAME"):
        if any(n % 2 for n in reach) or any(s != 1 for s in strides):
            raise ModelError(
                f"{name}: auto_pad {kind} pads one side more here; give equal pads"
            )
        return reach[0] // 2, reach[1] // 2
    pads = [int(n) for n in found.get("pads", ())] or [0, 0, 0, 0]
    if len(pads) == 2:
        pads = [0, pads[0], 0, pads[1]]
    if len(pads) != 4 or pads[:2] != pads[2:]:
        raise ModelError(
            f"{name}: pads {pads} differ between the sides; give equal ones"
        )
    return pads[0], pads[1]


INFINITY = float("inf")
CLOSE = 1e-4  # relative; exporters compute constants in single precision


@dataclass(frozen=True, kw_only=True)
class LinearPiece:
    """``clip(gain * x + shift, low, high)``."""

    gain: float = 1.0
    shift: float = 0.0
    low: float = -INFINITY
    high: float = INFINITY

    def scaled(self, factor: float) -> "LinearPiece":
        """Return this piece times a number."""
        ends = sorted((self.low * factor, self.high * factor))
        return LinearPiece(
            gain=self.gain * factor,
            shift=self.shift * factor,
            low=ends[0],
            high=ends[1],
        )

    def shifted(self, by: float) -> "LinearPiece":
        """Return this piece plus a number."""
        return LinearPiece(
            gain=self.gain,
            shift=self.shift + by,
            low=self.low + by,
            high=self.high + by,
        )

    def clipped(self, low: float, high: float) -> "LinearPiece":
        """Return this piece, cut to a range."""
        return replace(
            self,
            low=min(max(self.low, low), high),
            high=max(min(self.high, high), low),
        )


@dataclass(frozen=True)
class Steps:
    """The function of the steps so far: a piece, or a piece of a floored piece."""

    before: LinearPiece = LinearPiece()
    behind: LinearPiece | None = None  # of the floor, once there is one

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
            return replace(self, behind=LinearPiece())
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


def _relu(name: str, shape: Shape, piece: LinearPiece) -> Relu:
    if piece.gain != 1 or piece.shift != 0 or piece.low != 0 or piece.high <= 0:
        raise ModelError(
            f"{name}: cuts {piece.gain:g} x + {piece.shift:g} to {piece.low:g} ... "
            f"{piece.high:g}; only a ReLU, 0 ... some maximum, can be deployed"
        )
    return Relu(name=name, shape=shape, maximum=min(piece.high, UNKNOWN))


def _qcfs(name: str, shape: Shape, before: LinearPiece, behind: LinearPiece) -> Qcfs:
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

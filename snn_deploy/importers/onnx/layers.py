"""Build the layers of ONNX's operators from their attributes and weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.onnx.file import Operator
from snn_deploy.ir.nodes import AvgPool2d, BatchNorm, Conv2d, Linear

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


def _pair(name: str, values: Sequence[int] | None, default: int) -> Pair:
    sizes = tuple(int(n) for n in values) if values is not None else (default,) * 2
    if len(sizes) == 1:
        sizes = (1, *sizes)
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

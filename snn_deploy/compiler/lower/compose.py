"""Two layers without neurons between them as one: a matrix, a convolution, or synapses.

A convolution of a convolution is one with a larger kernel, as long as it does not read
beside the map between the two. There it would read zeros, where the larger kernel reads
the input: such layers become single synapses.
"""

from dataclasses import replace
from math import gcd

import numpy as np
from scipy import sparse

from snn_deploy.arrays import FloatArray, IntArray, Shape, n_neurons
from snn_deploy.errors import PassError
from snn_deploy.ir.convolve import Convolution
from snn_deploy.ir.floating import weighted
from snn_deploy.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Linear,
    Node,
)
from snn_deploy.ir.scatter import (
    Channels,
    ConvTranspose2d,
    Section,
    SparseLinear,
    Upsample2d,
)

Weights = Linear | Conv2d | SparseLinear
MOST_SYNAPSES = 1 << 24  # single ones of a layer; as many bytes fill a large chip
FULL = 0.5  # of all weights of a matrix; with fewer, single ones take less


def as_weights(node: Node) -> Weights | None:
    """Return what a layer does as weights, ``None`` for one that is no weighted sum.

    Raises
    ------
    PassError
        If it takes too many single synapses.
    """
    match node:
        case Linear() | Conv2d() | SparseLinear():
            return node
        case AvgPool2d():
            ones = np.full((node.shape[0], 1, *node.kernel), node.weight)
            return of_each_channel(node, ones, node.stride, node.padding)
        case BatchNorm() if len(node.shape) == 3:
            return replace(
                of_each_channel(node, node.gain.reshape(-1, 1, 1, 1)), bias=node.offset
            )
        case BatchNorm():
            return replace(
                _single(node, sparse.diags_array(node.gain)), bias=node.offset
            )
        case Channels():
            return _part(node)
        case ConvTranspose2d():
            taps = _taps(node.name, node.backward, node.weight, node.output_shape)
            return replace(_single(node, taps.T), bias=node.bias)
    return _routed(node)


def _routed(node: Node) -> SparseLinear | None:
    """Return weights of 1 for a layer that brings values elsewhere."""
    match node:
        case Section():
            n = n_neurons(node.onto)
            chosen = np.ones(n), (np.arange(n), np.arange(n) + node.first)
            return _single(node, sparse.coo_array(chosen, shape=(n, *node.shape)))
        case Upsample2d():
            spread = np.ones((node.shape[0], 1, *node.factor))
            back = Convolution(
                stride=node.factor,
                padding=(0, 0),
                dilation=(1, 1),
                groups=node.shape[0],
            )
            return _single(node, _taps(node.name, back, spread, node.output_shape).T)
    return None


def of_each_channel(
    node: Node,
    weight: FloatArray,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> Conv2d:
    """Return a convolution of each channel by itself, with the name of ``node``."""
    return Conv2d(
        name=node.name,
        weight=weight,
        bias=np.zeros(len(weight)),
        stride=stride,
        padding=padding,
        dilation=(1, 1),
        groups=len(weight),
        shape=node.input_shape,
    )


def _part(node: Channels) -> Weights:
    n, places = node.shape[0], np.arange(node.shape[0])
    if len(node.shape) != 3:
        size = n_neurons(node.output_shape), n_neurons(node.shape)
        rest = n_neurons(node.shape[1:])
        values = np.arange(size[1])
        chosen = (np.ones(size[1]), (values + node.first * rest, values))
        return _single(node, sparse.coo_array(chosen, shape=size))
    _check_count(node.name, node.n_channels * n)
    weight = np.zeros((node.n_channels, n, 1, 1))
    weight[places + node.first, places] = 1
    return Conv2d(
        name=node.name,
        weight=weight,
        bias=np.zeros(node.n_channels),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        shape=node.shape,
    )


def composed(first: Weights, second: Weights) -> Weights:
    """Return the layer, with the name of ``second``, that does what both do in a row.

    The input of ``second`` may be that of ``first`` in a row.

    Raises
    ------
    PassError
        If it takes too many single synapses.
    """
    bias = _bias(first, second)
    if isinstance(second, Linear):
        weight = _behind(second.weight, first)
        if np.count_nonzero(weight.any(axis=0)) > FULL * weight.shape[1]:
            return replace(second, weight=weight, bias=bias)
        return replace(
            _single(second, sparse.coo_array(weight), first.input_shape), bias=bias
        )
    if (
        isinstance(first, Conv2d)
        and isinstance(second, Conv2d)
        and not misread(first, second)
    ):
        return replace(_convolution(first, second), bias=bias)
    if isinstance(first, Linear) and len(second.output_shape) == 1:
        weight = np.asarray(matrix(second, second.name) @ first.weight)
        if np.count_nonzero(weight) > FULL * weight.size:
            return Linear(name=second.name, weight=weight, bias=bias)
    product = _product(first, second)
    return replace(_single(second, product, first.input_shape), bias=bias)


def _bias(first: Weights, second: Weights) -> FloatArray:
    """Return the bias of both, one for each channel where that is enough."""
    if not np.any(first.bias):
        return second.bias
    none = np.zeros((1, *first.input_shape))
    between = weighted(first, none).reshape(1, *second.input_shape)
    bias: FloatArray = weighted(second, between)[0]
    columns = bias.reshape(len(bias), -1)
    differs = np.abs(columns - columns[:, :1]) > 1e-12 * np.abs(columns).max()
    return bias if differs.any() else columns[:, 0]


def _behind(weight: FloatArray, first: Weights) -> FloatArray:
    """Return ``weight`` ``(n, values of first)`` as weights of the input of first."""
    match first:
        case Linear():
            return np.asarray(weight @ first.weight)
        case SparseLinear():
            return np.asarray((first.matrix.T @ weight.T).T)
    maps = weight.reshape(-1, *first.output_shape)
    return first.transposed(maps, first.weight, first.shape).reshape(len(weight), -1)


def misread(first: Conv2d, second: Conv2d) -> int:
    """Return how many rows or columns one larger kernel would read for zeros.

    Where ``second`` pads, its kernel lies beside the map between the two. The larger
    one lies beside the input then, unless windows of ``first`` overlap the edge, or
    leave a rest behind them.
    """
    worst = 0
    for axis in (0, 1):
        size, step = first.shape[1 + axis], first.stride[axis]
        span = (first.weight.shape[2 + axis] - 1) * first.dilation[axis] + 1
        n_between, margin = first.output_shape[1 + axis], first.padding[axis]
        last = (
            (second.output_shape[1 + axis] - 1) * second.stride[axis]
            - second.padding[axis]
            + (second.weight.shape[2 + axis] - 1) * second.dilation[axis]
        )
        if second.padding[axis]:
            worst = max(worst, span - step - margin)
        if last >= n_between:
            worst = max(worst, size - (n_between * step - margin))
    return worst


def _convolution(first: Conv2d, second: Conv2d) -> Conv2d:
    """Return the convolution that does what both do, but for the bias."""
    pairs = [_steps(first, second, axis) for axis in (0, 1)]
    dilation = (pairs[0][0], pairs[1][0])
    found = Conv2d(
        name=second.name,
        weight=_kernel(first, second, pairs),
        bias=np.zeros(len(second.weight)),
        stride=_along(second.stride, first.stride),
        padding=_along(second.padding, first.stride, first.padding),
        dilation=dilation,
        groups=gcd(first.groups, second.groups),
        shape=first.shape,
    )
    rest = [
        mine - wanted
        for mine, wanted in zip(
            found.output_shape[1:], second.output_shape[1:], strict=True
        )
    ]
    return replace(found, cropped=(rest[0], rest[1]))


def _along(
    a: tuple[int, int], b: tuple[int, int], more: tuple[int, int] = (0, 0)
) -> tuple[int, int]:
    return a[0] * b[0] + more[0], a[1] * b[1] + more[1]


def _steps(first: Conv2d, second: Conv2d, axis: int) -> tuple[int, int, int, int]:
    """Return the dilation along an axis, both kernels' steps in it, and the size."""
    ends = first.weight.shape[2 + axis] - 1, second.weight.shape[2 + axis] - 1
    wide = first.dilation[axis], second.dilation[axis] * first.stride[axis]
    dilation = gcd(*(w for w, n in zip(wide, ends, strict=True) if n)) or 1
    one, other = (max(1, w // dilation) for w in wide)  # one of size 1 takes no step
    return dilation, one, other, ends[0] * one + ends[1] * other + 1


def _kernel(
    first: Conv2d, second: Conv2d, steps: list[tuple[int, int, int, int]]
) -> FloatArray:
    """Return the weights of both, one pair of their groups after another."""
    groups = gcd(first.groups, second.groups)
    n_in, n_out = first.shape[0] // groups, len(second.weight)
    weight = np.zeros((n_out, n_in, steps[0][3], steps[1][3]))
    n_between = len(first.weight)
    edges = {i * n_between // first.groups for i in range(first.groups)}
    edges |= {i * n_between // second.groups for i in range(second.groups)}
    starts = sorted(edges)
    for low, high in zip(starts, [*starts[1:], n_between], strict=True):
        one, other = low * first.groups // n_between, low * second.groups // n_between
        begin = other * second.weight.shape[1]
        rows = slice(
            other * n_out // second.groups, (other + 1) * n_out // second.groups
        )
        inner = first.weight.shape[1]
        column = one * inner - other * groups // second.groups * n_in
        weight[rows, column : column + inner] += _joined(
            first.weight[low:high],
            second.weight[rows, low - begin : high - begin],
            steps,
        )
    return weight


def _joined(
    first: FloatArray, second: FloatArray, steps: list[tuple[int, int, int, int]]
) -> FloatArray:
    """Return the kernels ``(n_out, n_in, height, width)`` of two in a row.

    Parameters
    ----------
    first : array, (n_between, n_in, height, width)
    second : array, (n_out, n_between, height, width)
    steps : list
    """
    (_, down1, down2, height), (_, along1, along2, width) = steps
    found = np.zeros((len(second), first.shape[1], height, width))
    is_inner = first[0, 0].size <= second[0, 0].size
    (down, along), kernel = (
        ((down1, along1), first) if is_inner else ((down2, along2), second)
    )
    wide = second if is_inner else first
    (over, across) = (down2, along2) if is_inner else (down1, along1)
    for row, column in np.ndindex(*kernel.shape[2:]):
        one = kernel[:, :, row, column]
        product = (
            np.einsum("ombc,mi->oibc", wide, one, optimize=True)
            if is_inner
            else np.einsum("om,mibc->oibc", one, wide, optimize=True)
        )
        top, left = row * down, column * along
        found[
            :,
            :,
            top : top + (wide.shape[2] - 1) * over + 1 : over,
            left : left + (wide.shape[3] - 1) * across + 1 : across,
        ] += product
    return found


def added(one: Weights, other: Weights) -> Weights | None:
    """Return the layer, with the name of ``one``, that gives the sum of both.

    Both have one input; ``None`` if they are too unlike.
    """
    bias = one.bias.reshape(*one.bias.shape, *(1,) * (other.bias.ndim - one.bias.ndim))
    total = bias + other.bias.reshape(
        *other.bias.shape, *(1,) * (bias.ndim - other.bias.ndim)
    )
    if isinstance(one, Linear) and isinstance(other, Linear):
        return replace(one, weight=one.weight + other.weight, bias=total)
    if not isinstance(one, Conv2d) or not isinstance(other, Conv2d):
        return None
    if (one.stride, one.groups) != (other.stride, other.groups):
        return None
    found = _over_each_other(one, other)
    rest = [
        mine - wanted
        for mine, wanted in zip(
            found.output_shape[1:], one.output_shape[1:], strict=True
        )
    ]
    return replace(found, bias=total, cropped=(rest[0], rest[1]))


def _over_each_other(one: Conv2d, other: Conv2d) -> Conv2d:
    """Return the convolution with both kernels, each where its padding puts it."""
    above, beside = (max(a, b) for a, b in zip(one.padding, other.padding, strict=True))
    dilation = one.dilation if one.dilation == other.dilation else (1, 1)
    placed = []
    for layer in (one, other):
        top, left = above - layer.padding[0], beside - layer.padding[1]
        if dilation != (1, 1) and (top % dilation[0] or left % dilation[1]):
            return _over_each_other(*(_undilated(layer) for layer in (one, other)))
        if dilation != layer.dilation:
            layer = _undilated(layer)
        placed.append((layer.weight, top // dilation[0], left // dilation[1]))
    size = [
        max(w.shape[axis] + start[axis - 2] for w, *start in placed) for axis in (2, 3)
    ]
    weight = np.zeros((*one.weight.shape[:2], *size))
    for kernel, top, left in placed:
        rows = slice(top, top + kernel.shape[2])
        weight[:, :, rows, left : left + kernel.shape[3]] += kernel
    return replace(
        one,
        weight=weight,
        bias=np.zeros(len(weight)),
        padding=(above, beside),
        dilation=dilation,
        cropped=(0, 0),
    )


def _undilated(layer: Conv2d) -> Conv2d:
    """Return the same convolution, with zeros in its kernel for a dilation."""
    *channels, height, width = layer.weight.shape
    down, along = layer.dilation
    size = (height - 1) * down + 1, (width - 1) * along + 1
    weight = np.zeros((*channels, *size))
    weight[..., ::down, ::along] = layer.weight
    return replace(layer, weight=weight, dilation=(1, 1))


def matrix(layer: Weights, name: str) -> sparse.csr_array:
    """Return the weights of a layer ``(n_out, n_in)``, values of maps in a row.

    Raises
    ------
    PassError
        If they are too many single synapses.
    """
    match layer:
        case Linear():
            _check_count(name, layer.weight.size)
            return sparse.csr_array(layer.weight)
        case SparseLinear():
            return layer.matrix
    return _taps(name, layer, layer.weight, layer.shape)


def _taps(
    name: str, layer: Convolution, weight: FloatArray, shape: Shape
) -> sparse.csr_array:
    """Return the weights of a convolution of ``shape``, one by one."""
    n_out, n_in, *kernel = weight.shape
    out_shape = layer.convolved_shape(shape, weight.shape)
    (krows, irows, orows), (kcolumns, icolumns, ocolumns) = (
        layer.reads(axis, kernel[axis], shape[1 + axis], out_shape[1 + axis])
        for axis in (0, 1)
    )
    _check_count(name, n_out * n_in * len(krows) * len(kcolumns))
    outs = np.arange(n_out).reshape(-1, 1, 1, 1)
    ins = np.arange(n_in).reshape(1, -1, 1, 1)
    channels = outs // (n_out // layer.groups) * n_in + ins

    def flat(
        channel: IntArray, row: IntArray, column: IntArray, size: Shape
    ) -> IntArray:
        rows = channel * size[1] + row[:, np.newaxis]
        return np.asarray(rows * size[2] + column, np.int64)

    targets = flat(outs, orows, ocolumns, out_shape)
    sources = flat(channels, irows, icolumns, shape)
    values = weight[:, :, krows[:, np.newaxis], kcolumns]
    positions = [np.broadcast_to(p, values.shape).ravel() for p in (targets, sources)]
    size = (n_neurons(out_shape), n_neurons(shape))
    return sparse.csr_array((values.ravel(), tuple(positions)), shape=size)


def _check_count(name: str, n_synapses: int) -> None:
    """Raise an error if a layer takes too many single synapses."""
    if n_synapses > MOST_SYNAPSES:
        raise PassError(
            f"{name}: takes {n_synapses:,} single synapses, {n_synapses:,} bytes of "
            f"weights, allowed are {MOST_SYNAPSES:,}, what a chip holds; put neurons "
            "between the layers, or leave out the padding of the second"
        )


def _product(first: Weights, second: Weights) -> sparse.csr_array:
    """Return the matrix of both, whose size is looked at first."""
    name = f"{second.name}: behind {first.name}, with no neurons between"
    one, other = matrix(first, name), matrix(second, name)
    n_products = int(np.diff(one.indptr)[other.indices].sum())
    if n_products > MOST_SYNAPSES:  # several may meet in one synapse
        pattern = [sparse.csr_array(m, dtype=np.bool_) for m in (other, one)]
        _check_count(name, (pattern[0] @ pattern[1]).nnz)
    return sparse.csr_array(other @ one)


def _single(node: Node, values: sparse.sparray, shape: Shape = ()) -> SparseLinear:
    """Return a matrix as single synapses, with the name of ``node`` and no bias."""
    found = sparse.coo_array(values)
    kept = found.data != 0
    targets, sources = (positions[kept] for positions in found.coords)
    return SparseLinear(
        name=node.name,
        weight=found.data[kept],
        targets=targets.astype(np.float64),
        sources=sources.astype(np.float64),
        bias=np.zeros(node.output_shape[0]),
        shape=shape or node.input_shape,
        onto=node.output_shape,
    )

"""The weighted sums of a projection in ONNX's integer operators.

They multiply bytes: a weight is twice a signed byte, plus 1 where it is odd; a value
over 255 is several bytes. The products are added up in 32 bits.
"""

from collections.abc import Callable, Iterator

import numpy as np

from snn_deploy.arrays import IntArray, Shape
from snn_deploy.errors import FitError
from snn_deploy.exporters.onnx_form import Form
from snn_deploy.ir.quantized import Projection
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses

BYTE = 256
LARGEST_FAN_IN = (1 << 31) // (BYTE * BYTE // 2)
Product = Callable[[str, IntArray], str]


def weighted_sums(
    form: Form, projection: Projection, shape: Shape, spikes: str, largest: int
) -> str:
    """Return the name of the shifted sums ``(n, n_targets)`` of ``(n, n_sources)``.

    ``shape`` is that of the source; ``largest`` is the largest magnitude of a spike,
    which may be negative if it is over 255.

    Raises
    ------
    FitError
        If a sum does not fit 32 bits.
    """
    synapses = projection.synapses
    if synapses.fan_in > LARGEST_FAN_IN:
        raise FitError(
            f"{projection.name}: {synapses.fan_in} synapses onto one neuron, their sum "
            f"fits 32 bits up to {LARGEST_FAN_IN}; make the layer smaller"
        )
    if isinstance(synapses, SparseSynapses):
        sums = _sparse(form, synapses, spikes)
    else:
        product = _product(form, projection, shape)
        sums = _by_bytes(form, product, synapses.weights, spikes, largest)
    return _shifted(form, sums, projection.exponent)


def _product(form: Form, projection: Projection, shape: Shape) -> Product:
    """Return what multiplies a batch of bytes by weights that are signed bytes."""
    synapses = projection.synapses

    if not isinstance(synapses, ConvSynapses):
        return lambda values, weights: form.op(
            "MatMulInteger", values, form.constant(weights.T, np.int8)
        )

    def convolved(values: str, weights: IntArray) -> str:
        maps = form.op("Reshape", values, form.constant([-1, *shape]))
        kernel, dilation = synapses.uncropped(weights)
        sums = form.op(
            "ConvInteger",
            maps,
            form.constant(kernel, np.int8),
            strides=synapses.stride,
            pads=synapses.padding * 2,
            dilations=dilation,
            group=synapses.groups,
        )
        return form.op("Flatten", sums)

    return convolved


def _by_bytes(
    form: Form, product: Product, weights: IntArray, spikes: str, largest: int
) -> str:
    """Return the sums, from those of the bytes of values and weights."""
    total = ""
    for values, worth in _bytes_of(form, spikes, largest):
        for part, factor in ((weights >> 1, 2), (weights & 1, 1)):
            if part.any() or not total:
                found = form.cast(product(values, part), "INT64")
                scaled = form.op("Mul", found, form.constant(factor * worth))
                total = form.op("Add", total, scaled) if total else scaled
    return total


def _bytes_of(form: Form, spikes: str, largest: int) -> Iterator[tuple[str, int]]:
    """Yield unsigned bytes and what they are worth, the values being their sum."""
    if largest < BYTE:
        yield form.cast(spikes, "UINT8"), 1
        return
    zero, byte = form.constant(0), form.constant(BYTE)
    for sign in (1, -1):
        signed = form.op("Mul", spikes, form.constant(sign))
        left, worth = form.op("Max", signed, zero), sign
        while abs(worth) <= largest:
            yield form.cast(form.op("Mod", left, byte), "UINT8"), worth
            left, worth = form.op("Div", left, byte), worth * BYTE


def _sparse(form: Form, synapses: SparseSynapses, spikes: str) -> str:
    """Return the sums of single weights."""
    sources = form.constant(synapses.sources)
    each = form.op("Gather", spikes, sources, axis=1)
    each = form.op("Mul", each, form.constant(synapses.weights[np.newaxis]))
    none = form.op("Mul", spikes, form.constant(0))
    silent = form.op("Gather", none, form.constant(np.zeros(synapses.size[0])), axis=1)
    sums = form.op(
        "ScatterND",
        form.op("Transpose", silent, perm=[1, 0]),
        form.constant(synapses.targets[:, np.newaxis]),
        form.op("Transpose", each, perm=[1, 0]),
        reduction="add",
    )
    return form.op("Transpose", sums, perm=[1, 0])


def _shifted(form: Form, sums: str, exponent: int) -> str:
    """Return the sums times ``2**exponent``, rounded down."""
    if exponent >= 0:
        return form.op("Mul", sums, form.constant(1 << exponent)) if exponent else sums
    unit = form.constant(1 << -exponent)
    rest = form.op("Mod", sums, unit)  # has the sign of the unit
    return form.op("Div", form.op("Sub", sums, rest), unit)

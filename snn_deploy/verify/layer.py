"""One layer of neurons in real numbers, each part of it float's or the chip's.

A layer of floats and a layer of chip integers are the same data type, in units of the
voltage register, so that a hybrid is one with an aspect taken from the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray, Shape, n_neurons
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.synapses import Synapses


@dataclass(frozen=True, kw_only=True, eq=False)
class Inflow:
    """What one projection brings: ``mantissas @ spikes * 2**exponent``."""

    source: str
    source_shape: Shape
    synapses: Synapses  # how the weights lie; their values are the mantissas
    mantissas: FloatArray
    exponent: int
    rounds_down: bool  # the shifted sum
    delays: IntArray  # (n_sources,), timesteps; the chip's pipeline is removed


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """Neurons and what reaches them; arrays ``(n_neurons,)`` in voltage units.

    ``truncates`` is the chip's rounding toward zero of what a decay leaves.
    """

    name: str
    shape: Shape
    inflows: tuple[Inflow, ...]
    current_decay: FloatArray  # fraction lost per timestep
    current_truncates: bool
    voltage_decay: FloatArray
    voltage_truncates: bool
    bias: FloatArray  # or (n, n_neurons), where the inputs of a batch bring it
    threshold: FloatArray
    comparison: Comparison
    spikes: bool
    reset: Reset
    reset_amount: FloatArray
    max_spikes: int
    initial_voltage: FloatArray
    lowest_voltage: FloatArray  # above where a register saturates
    refractory: int
    wraps: bool
    saturates: bool
    scale: FloatArray  # float voltage = scale * voltage

    @property
    def size(self) -> int:
        return n_neurons(self.shape)


def of_inputs(layer: Layer, inputs: IntArray) -> Layer:
    """Return a layer for some inputs of the batch whose biases it has."""
    return replace(layer, bias=layer.bias[inputs]) if layer.bias.ndim > 1 else layer


# what can be taken from the chip by itself; the upper ones belong to the inflows
INFLOW_ASPECTS: dict[str, tuple[str, ...]] = {
    "weights": ("mantissas", "synapses"),
    "exponent": ("exponent", "rounds_down"),
    "delay": ("delays",),
}
NEURON_ASPECTS: dict[str, tuple[str, ...]] = {
    "threshold": ("threshold",),
    "bias": ("bias",),
    "initial voltage": ("initial_voltage",),
    "lowest voltage": ("lowest_voltage",),
    "current decay": ("current_decay", "current_truncates"),
    "voltage decay": ("voltage_decay", "voltage_truncates"),
    "reset": ("reset", "reset_amount", "max_spikes"),
    "comparison": ("comparison", "spikes"),
    "refractory": ("refractory",),
    "saturation": ("saturates",),
    "wrap": ("wraps",),
}
ASPECTS = (*INFLOW_ASPECTS, *NEURON_ASPECTS)


def hybrid(layer: Layer, other: Layer, aspects: Sequence[str]) -> Layer:
    """Return ``layer`` with some aspects taken from ``other``."""
    mine = [f for aspect in aspects for f in NEURON_ASPECTS.get(aspect, ())]
    theirs = [f for aspect in aspects for f in INFLOW_ASPECTS.get(aspect, ())]
    inflows = tuple(
        replace(a, **{field: getattr(b, field) for field in theirs})
        for a, b in zip(layer.inflows, other.inflows, strict=True)
    )
    return replace(
        layer, inflows=inflows, **{field: getattr(other, field) for field in mine}
    )


def differing(layer: Layer, other: Layer) -> list[str]:
    """Return the aspects in which two forms of a layer are not the same."""
    found = []
    for aspect in ASPECTS:
        pairs: list[tuple[object, object]] = [(layer, other)]
        if aspect in INFLOW_ASPECTS:
            pairs = list(zip(layer.inflows, other.inflows, strict=True))
        names = {**INFLOW_ASPECTS, **NEURON_ASPECTS}[aspect]
        if any(
            not _is_same(getattr(a, name), getattr(b, name))
            for a, b in pairs
            for name in names
            if name != "synapses"
        ):
            found.append(aspect)
    return found


def is_same(layer: Layer, other: Layer) -> bool:
    """Return whether two forms of a layer compute the same, whatever arrives."""
    pairs = zip(layer.inflows, other.inflows, strict=True)
    return not differing(layer, other) and all(
        type(a.synapses) is type(b.synapses)
        and all(
            _is_same(getattr(a.synapses, item.name), getattr(b.synapses, item.name))
            for item in fields(a.synapses)
        )
        for a, b in pairs
    )


def _is_same(a: AnyArray | object, b: AnyArray | object) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b  # type: ignore[arg-type]

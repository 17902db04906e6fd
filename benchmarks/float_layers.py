"""The networks in float, as the peers compute them: weighted sums and neurons.

Voltages are in units of the threshold, so that every threshold is 1. The peers then
have the same work and nearly the same spikes; nobody claims that they are exact.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.contender import AbsentError
from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.fixedpoint import INPUT_SHIFT
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses

DECAY_ONE = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatLayer:
    """A weighted sum and the neurons behind it; the last one may be a plain sum."""

    weighted: nn.Linear | nn.Conv2d
    shape: Shape
    decay: float  # of the voltage, the fraction lost
    is_soft: bool  # the reset
    initial: Tensor | None  # voltage, (shape...); None: 0
    spikes: bool


def float_layers(graph: QuantizedGraph) -> list[FloatLayer]:
    """Return the layers of a network that is a chain.

    Raises
    ------
    AbsentError
        If the network holds something that the peers would have to leave out.
    """
    layers, before = [], graph.source.name
    for population in graph.order:
        into = graph.projections_into(population)
        if len(into) != 1 or into[0].source != before or into[0].axon_delay.any():
            raise AbsentError("the network is no chain of layers")
        layers.append(_layer(graph, population, into[0]))
        before = population.name
    if before != graph.output or not all(layer.spikes for layer in layers[:-1]):
        raise AbsentError("the network is not read out at its end")
    _check_readout(graph, layers[-1])
    return layers


def spike_tensor(stimuli: list[Stimulus], n_timesteps: int) -> Tensor:
    """Return the inputs as ``(n_timesteps, n, shape...)``."""
    rows = [np.broadcast_to(s.values, (n_timesteps, *s.shape)) for s in stimuli]
    return torch.from_numpy(np.stack(rows, axis=1).astype(np.float32))


def _check_readout(graph: QuantizedGraph, last: FloatLayer) -> None:
    functional = graph.training.functional
    if last.spikes and functional is not Functional.SUM:
        raise AbsentError(f"read-out by the {functional.value} of spikes")
    if not last.spikes and (functional is not Functional.LAST or last.decay):
        raise AbsentError("the read-out leaks")


def _layer(
    graph: QuantizedGraph, population: Population, projection: Projection
) -> FloatLayer:
    if np.any(population.current_decay + graph.precision.current_decay_offset < 4096):
        raise AbsentError(f"{population.name} keeps a current")
    if population.max_spikes > 1 or population.refractory or population.takes_bias:
        raise AbsentError(f"{population.name} is more than a leaky neuron")
    if len(np.unique(population.voltage_decay)) != 1:
        raise AbsentError(f"{population.name} has several decays")
    unit = population.threshold.astype(float) * 2**INPUT_SHIFT
    if not population.spikes:
        unit = np.array(float(2**INPUT_SHIFT))
    initial = np.broadcast_to(population.initial_voltage / unit, population.shape)
    return FloatLayer(
        weighted=_weighted(population, projection, unit),
        shape=population.shape,
        decay=float(population.voltage_decay.flat[0]) / DECAY_ONE,
        is_soft=population.reset is Reset.SOFT,
        initial=torch.tensor(initial, dtype=torch.float32) if initial.any() else None,
        spikes=population.spikes,
    )


def _weighted(
    population: Population, projection: Projection, unit: FloatArray
) -> nn.Linear | nn.Conv2d:
    synapses = projection.synapses
    if isinstance(synapses, SparseSynapses):
        raise AbsentError(f"{projection.name} has single synapses")
    n_out = len(synapses.weights)
    gain = 2.0 ** (projection.exponent + INPUT_SHIFT) / _per_channel(
        unit, population, n_out
    )
    drive = population.bias_mantissa * 2.0**population.bias_exponent / unit
    weights = synapses.weights * gain.reshape(-1, *[1] * (synapses.weights.ndim - 1))
    layer: nn.Linear | nn.Conv2d
    if isinstance(synapses, ConvSynapses):
        layer = nn.Conv2d(
            synapses.weights.shape[1] * synapses.groups,
            n_out,
            synapses.weights.shape[2:],
            stride=synapses.stride,
            padding=synapses.padding,
            dilation=synapses.dilation,
            groups=synapses.groups,
            bias=bool(drive.any()),
        )
    else:
        layer = nn.Linear(weights.shape[1], n_out, bias=bool(drive.any()))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
        if layer.bias is not None:
            bias = _per_channel(drive, population, n_out)
            layer.bias.copy_(torch.from_numpy(bias))
    return layer.requires_grad_(False).eval()


def _per_channel(values: FloatArray, population: Population, n: int) -> FloatArray:
    """Return one value for each of the ``n`` channels, ``(n,)``."""
    rows = np.broadcast_to(values, population.shape).reshape(n, -1)
    if np.any(rows != rows[:, :1]):
        raise AbsentError(f"{population.name}: neurons of one channel differ")
    return rows[:, 0].copy()

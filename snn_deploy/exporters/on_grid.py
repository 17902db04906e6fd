"""The integer network as a float graph: every integer a float, none of them rounded.

A unit is one of the synaptic sum, 64 of the voltage, so all floats are exact; compiled
again, the graph gives the same integers. In float it computes the same as long as no
decay, shift or limit drops or cuts anything.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.fixedpoint import DECAY_BITS, INPUT_SHIFT, VOLTAGE_LIMIT, shift
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.heads import Head
from snn_deploy.ir.neurons import Integrator, Lif, Neuron
from snn_deploy.ir.nodes import Conv2d, Flatten, Input, Linear, Node
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.scatter import SparseLinear
from snn_deploy.ir.synapses import DenseSynapses, SparseSynapses
from snn_deploy.names import free_name

UNIT = 1 << INPUT_SHIFT


def as_graph(network: QuantizedGraph) -> Graph:
    """Return ``network`` as a float graph on the chip's grid.

    Raises
    ------
    ModelError
        If it has single synapses, or neurons that spike without a threshold.
    """
    network = network.in_local_time()
    builder = _GraphBuilder(network)
    for population in network.populations:
        builder.population(population)
    return Graph(
        name=network.name,
        nodes=tuple(builder.nodes.values()),
        edges=tuple(builder.edges),
        training=replace(
            network.training,
            input_scale=float(network.training.encoding.unit),
            input_offset=0.0,
            heads=heads_on_grid(network),
        ),
        is_on_grid=True,
        output_name=network.output,
        used_inputs=network.used_inputs.astype(np.float64),
    )


def heads_on_grid(network: QuantizedGraph) -> tuple[Head, ...]:
    """Return the heads in units of the synaptic sum, which ``as_graph`` reads out."""
    fine = 1 if network.readout.spikes else UNIT
    return tuple(
        replace(head, scale=head.scale * network.unit_of(head.name) * fine)
        for head in network.heads
    )


class _GraphBuilder:
    def __init__(self, network: QuantizedGraph) -> None:
        self.network = network
        source = network.source
        axon_delays = {p.source: p.axon_delay for p in network.projections}
        self.late = {n: d.astype(np.float64) for n, d in axon_delays.items()}
        start = Input(
            name=source.name,
            shape=source.shape,
            axon_delay=self.late.get(source.name, np.zeros(())),
        )
        self.nodes: dict[str, Node] = {start.name: start}
        self.edges: list[Edge] = []

    def population(self, population: Population) -> None:
        """Add neurons and what leads to them, but those that only send a bias."""
        if self._is_metronome(population):
            return
        bias: FloatArray = np.zeros(1)
        incoming = []
        for projection in self.network.projections_into(population):
            if self._is_metronome_name(projection.source):
                bias = bias + _bias(projection, population)
            else:
                incoming.append(projection)
        for number, projection in enumerate(incoming):
            self._weights(projection, bias if number == 0 else np.zeros(1))
        self.nodes[population.name] = self._neurons(population)

    def _is_metronome_name(self, name: str) -> bool:
        populations = [p for p in self.network.populations if p.name == name]
        return any(self._is_metronome(p) for p in populations)

    def _is_metronome(self, population: Population) -> bool:
        """Whether these neurons spike at every timestep and receive nothing."""
        is_driven = bool(np.all(population.bias_mantissa > 0))
        has_threshold = bool(population.threshold.any()) or not population.spikes
        return (
            is_driven
            and not has_threshold
            and not self.network.projections_into(population)
        )

    def _weights(self, projection: Projection, bias: FloatArray) -> None:
        shape = self.network.shape_of(projection.source)
        source, delay = projection.source, projection.delay
        onto = self.network.population(projection.target).shape
        layer = _layer(projection, shape, onto, bias)
        if layer.input_shape != shape:
            later = (p.name for p in self.network.populations)
            taken = {*self.nodes, *later, *(p.name for p in self.network.projections)}
            name = free_name(f"{projection.name}.row", taken)
            flat = Flatten(name=name, shape=shape)
            self.nodes[flat.name] = flat
            self.edges.append(Edge(source=source, target=flat.name, delay=delay))
            source, delay = flat.name, 0
        self.nodes[layer.name] = layer
        self.edges.append(Edge(source=source, target=layer.name, delay=delay))
        self.edges.append(Edge(source=layer.name, target=projection.target))

    def _neurons(self, population: Population) -> Neuron:
        unit = 1 << DECAY_BITS
        offset = self.network.precision.current_decay_offset
        bias = shift(population.bias_mantissa, population.bias_exponent)
        shared: dict[str, Any] = {
            "name": population.name,
            "shape": population.shape,
            "current_decay": (population.current_decay + offset) / unit,
            "voltage_decay": population.voltage_decay / unit,
            "input_gain": np.ones(()),
            "bias": bias / UNIT,
            "initial_voltage": population.initial_voltage / UNIT,
            "lowest_voltage": _floor(population),
            "takes_bias": population.takes_bias,
        }
        if not population.spikes:
            return Integrator(**shared)
        return Lif(
            **shared,
            threshold=population.threshold.astype(np.float64),
            reset=population.reset,
            reset_amount=population.reset_amount / UNIT,
            comparison=population.comparison,
            spike_value=1.0,
            refractory=population.refractory,
            axon_delay=self.late.get(population.name, np.zeros(())),
            max_spikes=population.max_spikes,
        )


def _floor(population: Population) -> FloatArray:
    """Return the lowest voltage; the end of a register, which floats lack, is none."""
    lowest = population.lowest_voltage
    return np.where(lowest > -VOLTAGE_LIMIT, lowest / UNIT, -np.inf)


def _weights(projection: Projection) -> FloatArray:
    """Return the weights with the exponent of their projection."""
    scaled: FloatArray = projection.synapses.weights * 2.0**projection.exponent
    return scaled


def _bias(projection: Projection, population: Population) -> FloatArray:
    """Return what neurons that spike at every timestep send, by channel or neuron."""
    weights, synapses = _weights(projection), projection.synapses
    if not isinstance(synapses, SparseSynapses):
        return weights.reshape(-1)
    found: FloatArray = np.zeros(population.size)
    found[synapses.targets] = weights
    return found.reshape(population.shape)


def _layer(
    projection: Projection, shape: Shape, onto: Shape, bias: FloatArray
) -> Linear | Conv2d | SparseLinear:
    synapses, weight = projection.synapses, _weights(projection)
    offset = bias if bias.ndim > 1 else np.broadcast_to(bias, onto[0])
    if isinstance(synapses, DenseSynapses):
        return Linear(name=projection.name, weight=weight, bias=offset)
    if isinstance(synapses, SparseSynapses):
        return SparseLinear(
            name=projection.name,
            weight=weight,
            targets=synapses.targets.astype(np.float64),
            sources=synapses.sources.astype(np.float64),
            bias=offset,
            shape=shape,
            onto=onto,
        )
    return Conv2d(
        name=projection.name,
        weight=weight,
        bias=offset,
        stride=synapses.stride,
        padding=synapses.padding,
        dilation=synapses.dilation,
        groups=synapses.groups,
        cropped=synapses.cropped,
        shape=shape,
    )

"""The forms of a network's layers: float, chip integers, and what lies between."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray, Shape, spread
from snn_deploy.compiler.lower.collect import Arrival, by_synapse, collect
from snn_deploy.fixedpoint import DECAY_BITS, INPUT_SHIFT, VOLTAGE_LIMIT
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Comparison, Lif, Neuron, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.verify.layer import Inflow, Layer


def integer_layers(graph: QuantizedGraph) -> dict[str, Layer]:
    """Return what the chip computes, layer by layer.

    Delays are counted between local timesteps, so it makes no difference whether the
    network is retimed.
    """
    return {p.name: _integer_layer(graph, p) for p in graph.populations}


def _integer_layer(graph: QuantizedGraph, population: Population) -> Layer:
    def each(parameter: IntArray) -> FloatArray:
        return spread(parameter, population.shape).astype(np.float64)

    unit, offset = 1 << DECAY_BITS, graph.precision.current_decay_offset
    return Layer(
        name=population.name,
        shape=population.shape,
        inflows=tuple(
            _integer_inflow(graph, p) for p in graph.projections_into(population)
        ),
        current_decay=(each(population.current_decay) + offset) / unit,
        current_truncates=True,
        voltage_decay=each(population.voltage_decay) / unit,
        voltage_truncates=True,
        bias=each(population.bias_mantissa) * 2.0**population.bias_exponent,
        threshold=each(population.threshold) * (1 << INPUT_SHIFT),
        comparison=population.comparison,
        spikes=population.spikes,
        reset=population.reset,
        reset_amount=each(population.reset_amount),
        max_spikes=population.max_spikes,
        initial_voltage=each(population.initial_voltage),
        lowest_voltage=_floor(each(population.lowest_voltage)),
        refractory=population.refractory,
        wraps=True,
        saturates=True,
        scale=spread(population.scale, population.shape),
    )


def _floor(lowest: FloatArray) -> FloatArray:
    """Return lowest voltages; where only the register ends there is none."""
    return np.where(lowest > -VOLTAGE_LIMIT, lowest, -np.inf)


def _integer_inflow(graph: QuantizedGraph, projection: Projection) -> Inflow:
    shape = graph.shape_of(projection.source)
    is_input = projection.source == graph.source.name
    sent = 0 if is_input else graph.population(projection.source).offset
    pipeline = graph.population(projection.target).offset - sent
    return Inflow(
        source=projection.source,
        source_shape=shape,
        synapses=projection.synapses,
        mantissas=projection.synapses.weights.astype(np.float64),
        exponent=projection.exponent,
        rounds_down=True,
        delays=spread(projection.axon_delay, shape) + projection.delay - pipeline,
    )


def real_layers(layers: dict[str, Layer]) -> dict[str, Layer]:
    """Return layers of the chip's parameters, but without its arithmetic."""
    return {name: _real(layer) for name, layer in layers.items()}


def _real(layer: Layer) -> Layer:
    return replace(
        layer,
        inflows=tuple(replace(i, rounds_down=False) for i in layer.inflows),
        current_truncates=False,
        voltage_truncates=False,
        wraps=False,
        saturates=False,
    )


def with_biases(
    layers: dict[str, Layer], graph: QuantizedGraph, stimuli: Sequence[Stimulus]
) -> dict[str, Layer]:
    """Return the layers whose bias inputs bring, with the biases of these."""
    biases = [s.bias.reshape(-1) for s in stimuli if s.bias is not None]
    if not biases:
        return {}
    mantissas = np.stack(biases).astype(np.float64)
    return {
        p.name: replace(layers[p.name], bias=mantissas * 2.0**p.bias_exponent)
        for p in graph.populations
        if p.takes_bias
    }


def float_layers(graph: Graph, expected: QuantizedGraph) -> dict[str, Layer]:
    """Return the layers of a float graph.

    Parameters
    ----------
    graph : Graph
        As ``to_spiking`` gives it.
    expected : QuantizedGraph
        What it compiles to: its scales say what one voltage unit is. Populations
        without a layer (those that send a bias) are taken from here.
    """
    layers = real_layers(integer_layers(expected))
    for node in graph.order:
        if isinstance(node, Neuron):
            layers[node.name] = _float_layer(graph, node, layers[node.name], expected)
    return layers


def _float_layer(
    graph: Graph, node: Neuron, like: Layer, expected: QuantizedGraph
) -> Layer:
    arrivals = collect(graph, node)
    scale = like.scale

    def each(parameter: AnyArray) -> FloatArray:
        return spread(parameter, node.shape).astype(np.float64)

    bias = each(node.bias)
    for arrival in arrivals:
        bias = bias + each(_along(arrival.layer.bias, node.shape))
    common = replace(
        like,
        inflows=tuple(
            _float_inflow(arrival, inflow, expected.population(node.name))
            for arrival, inflow in zip(arrivals, like.inflows, strict=True)
        ),
        current_decay=each(node.current_decay),
        voltage_decay=each(node.voltage_decay),
        bias=bias / scale,
        initial_voltage=each(node.initial_voltage) / scale,
        lowest_voltage=each(node.lowest_voltage) / scale,
    )
    if not isinstance(node, Lif):
        return replace(common, comparison=Comparison.GREATER, reset=Reset.HARD)
    return replace(
        common,
        threshold=each(node.threshold) / scale,
        comparison=node.comparison,
        reset=node.reset,
        reset_amount=each(node.reset_amount) / scale,
        max_spikes=node.max_spikes,
        refractory=node.refractory,
    )


def _along(bias: FloatArray, shape: Shape) -> FloatArray:
    """Return one value per channel so that it broadcasts against the shape."""
    return bias.reshape(bias.shape + (1,) * (len(shape) - bias.ndim))


def _float_inflow(arrival: Arrival, like: Inflow, population: Population) -> Inflow:
    unit = population.scale.reshape(-1) * 2.0 ** (INPUT_SHIFT + like.exponent)
    late = spread(arrival.axon_delay, like.source_shape).astype(np.int64)
    return replace(
        like,
        mantissas=arrival.layer.weight / by_synapse(unit, arrival.layer),
        delays=late + arrival.delay,
    )

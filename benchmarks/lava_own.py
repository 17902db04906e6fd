"""Networks of Lava's own processes: ``Dense``, ``Conv``, ``LIF``."""

import functools
from itertools import pairwise
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray, Shape
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses


def is_lavas_own(graph: QuantizedGraph) -> bool:
    """Whether Lava's ``LIF``, ``Dense`` and ``Conv`` compute this network."""
    chain = [graph.source.name, *(p.name for p in graph.populations)]
    ends = [(p.source, p.target) for p in graph.projections]
    return (
        graph.source.largest_value == 1
        and ends == list(pairwise(chain))
        and graph.training.functional is Functional.SUM
        and all(_is_lif(p) for p in graph.populations)
        and all(_is_synapses(p) for p in graph.projections)
    )


def _is_lif(p: Population) -> bool:
    return (
        p.spikes
        and p.reset is Reset.HARD
        and p.comparison is Comparison.GREATER
        and p.threshold.size == p.current_decay.size == p.voltage_decay.size == 1
        and not p.bias_mantissa.any()
        and not p.initial_voltage.any()
        and not p.refractory
        and not p.takes_bias
    )


def _is_synapses(p: Projection) -> bool:
    is_conv = isinstance(p.synapses, ConvSynapses) and p.exponent == 0
    return p.longest_delay == 1 and (is_conv or isinstance(p.synapses, DenseSynapses))


def own_network(graph: QuantizedGraph, stimulus: Stimulus, n: int) -> Any:
    """Connect Lava's processes; return the one that collects ``n`` output spikes."""
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer

    _mend_lava()
    rows = np.stack([stimulus.at(t + 1).T for t in range(n)], axis=-1)
    before = RingBuffer(data=rows.astype(np.int32)).s_out
    for population, projection in zip(
        graph.populations, graph.projections, strict=True
    ):
        synapses = _synapses(graph, projection)
        if len(before.shape) > len(synapses.s_in.shape):
            before = before.reshape(synapses.s_in.shape)
        before.connect(synapses.s_in)
        neurons = _lif(population)
        synapses.a_out.connect(neurons.a_in)
        before = neurons.s_out
    sink = Sink(shape=before.shape, buffer=n)
    before.connect(sink.a_in)
    return sink


def _mend_lava() -> None:
    """Undo what NumPy 2 broke in Lava: a keyword is gone, a number is too small."""
    from lava.magma.core.process.ports.ports import ReshapePort
    from lava.proc.conv import utils

    def reshaped(data: AnyArray, shape: Shape) -> AnyArray:
        return data.reshape(shape)

    def convolved(*arguments: Any) -> Any:
        *others, groups = arguments  # 8 bits, but compared with channels
        return convolve(*others, int(groups))

    convolve = utils.conv_scipy
    utils.conv_scipy = convolved
    ReshapePort.get_transform_func_fwd = lambda port: functools.partial(
        reshaped, shape=port.shape
    )


def _lif(population: Population) -> Any:
    from lava.proc.lif.process import LIF

    return LIF(
        shape=population.shape[::-1],  # width, height, channel
        du=int(population.current_decay),
        dv=int(population.voltage_decay),
        vth=int(population.threshold),
    )


def _synapses(graph: QuantizedGraph, projection: Projection) -> Any:
    from lava.proc.conv.process import Conv
    from lava.proc.dense.process import Dense
    from lava.utils.weightutils import determine_sign_mode

    synapses, shape = projection.synapses, graph.shape_of(projection.source)
    if isinstance(synapses, ConvSynapses):
        return Conv(
            weight=synapses.weights.transpose(0, 3, 2, 1)[:, ::-1, ::-1].copy(),
            input_shape=shape[::-1],
            padding=synapses.padding[::-1],
            stride=synapses.stride[::-1],
            dilation=synapses.dilation[::-1],
            groups=synapses.groups,
        )
    assert isinstance(synapses, DenseSynapses)
    return Dense(
        weights=_reversed_axes(synapses.weights, shape),
        weight_exp=projection.exponent,
        sign_mode=determine_sign_mode(synapses.weights),
    )


def _reversed_axes(weights: IntArray, shape: Shape) -> IntArray:
    """Return the weights from a source whose axes Lava has in reverse order."""
    whole = weights.reshape(len(weights), *shape)
    axes = (0, *range(len(shape), 0, -1))
    return whole.transpose(axes).reshape(len(weights), -1)

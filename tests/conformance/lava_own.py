"""Networks of Lava's own processes, for what these can express, and their traces."""

import contextlib
import io
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from snn_deploy.arrays import IntArray
from snn_deploy.backends.lava.compat import forking
from snn_deploy.backends.protocol import Recording
from snn_deploy.ir.graph import Training
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph, Source
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses
from tests.conformance.networks import TARGET, Case, draw_conv, draw_weights

Draw = Callable[[st.SearchStrategy[Any]], Any]
ONE_WRAP = 1 << 18  # the largest sum of a timestep after which one wrap suffices
LONGEST_DELAY = 62


def run_own(
    graph: QuantizedGraph, stimulus: Stimulus, n: int, *, reset_every: int | None
) -> Recording:
    """Return what Lava's own processes do in ``n`` timesteps."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer

    handlers = list(logging.getLogger().handlers)
    rows = np.stack([_lava_order(stimulus.at(t + 1)) for t in range(n)], axis=-1)
    source = RingBuffer(data=rows.astype(np.int32))
    neurons = {p.name: _neurons(p, reset_every) for p in graph.populations}
    sinks = {
        p.name: Sink(shape=_lava_shape(p.shape), buffer=n) for p in graph.populations
    }
    for name, process in neurons.items():
        process.s_out.connect(sinks[name].a_in)
    for projection in graph.projections:
        synapses = _synapses(graph, projection)
        neurons.get(projection.source, source).s_out.connect(synapses.s_in)
        synapses.a_out.connect(neurons[projection.target].a_in)
    found: dict[tuple[str, str], list[IntArray]] = {}
    with forking(), contextlib.redirect_stdout(io.StringIO()):
        try:
            for _ in range(n):
                source.run(
                    condition=RunSteps(num_steps=1),
                    run_cfg=Loihi2SimCfg(select_tag="fixed_pt"),
                )
                for name, process in neurons.items():
                    found.setdefault((name, "current"), []).append(process.u.get())
                    found.setdefault((name, "voltage"), []).append(process.v.get())
            spikes = {name: sink.data.get() for name, sink in sinks.items()}
        finally:
            source.stop()
            logging.getLogger().handlers[:] = handlers
    trace = {
        key: np.stack([_our_order(row) for row in rows_of])
        for key, rows_of in found.items()
    }
    for name, columns in spikes.items():
        trace[name, "spikes"] = np.stack(
            [_our_order(columns[..., t]) for t in range(n)]
        )
    return trace


def flipped(weights: IntArray) -> IntArray:
    """Return a kernel as Lava wants it: it convolves, where PyTorch correlates."""
    return weights.transpose(0, 3, 2, 1)[:, ::-1, ::-1].copy()


def _lava_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[::-1]  # width, height, channel


def _lava_order(values: IntArray) -> IntArray:
    return values.transpose()


def _our_order(values: IntArray) -> IntArray:
    return np.asarray(values, np.int64).transpose().reshape(-1)


def _neurons(population: Population, reset_every: int | None) -> Any:
    from lava.proc.lif.process import LIF, LIFReset

    def each(parameter: IntArray) -> IntArray:
        return _lava_order(np.broadcast_to(parameter, population.shape)).copy()

    settings = {
        "shape": _lava_shape(population.shape),
        "v": each(population.initial_voltage),
        "du": int(population.current_decay),
        "dv": int(population.voltage_decay),
        "bias_mant": each(population.bias_mantissa),
        "bias_exp": population.bias_exponent,
        "vth": int(population.threshold),
    }
    if reset_every is None:
        return LIF(**settings)
    return LIFReset(**settings, reset_interval=reset_every, reset_offset=1)


def _synapses(graph: QuantizedGraph, projection: Projection) -> Any:
    from lava.proc.conv.process import Conv
    from lava.proc.dense.process import DelayDense, Dense
    from lava.utils.weightutils import determine_sign_mode

    synapses = projection.synapses
    message_bits = 8 if graph.largest_spike(projection.source) > 1 else 0
    if isinstance(synapses, ConvSynapses):
        return Conv(
            weight=flipped(synapses.weights),
            input_shape=_lava_shape(graph.shape_of(projection.source)),
            padding=synapses.padding[::-1],
            stride=synapses.stride[::-1],
            dilation=synapses.dilation[::-1],
            groups=synapses.groups,
            num_message_bits=message_bits,
        )
    settings = {
        "weights": synapses.weights,
        "weight_exp": projection.exponent,
        "sign_mode": determine_sign_mode(synapses.weights),
        "num_message_bits": message_bits,
    }
    shape = graph.shape_of(projection.source)
    delays = projection.delay - 1 + np.broadcast_to(projection.axon_delay, shape)
    if not delays.any():
        return Dense(**settings)
    return DelayDense(**settings, delays=np.tile(delays, (len(synapses.weights), 1)))


@st.composite
def dense_cases(draw: Draw, *, has_reset: bool) -> Case:
    """Draw ``Dense`` and ``DelayDense`` between ``LIF``, recurrence included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    source = Source(
        name="input",
        shape=(draw(st.integers(2, 6)),),
        largest_value=draw(st.sampled_from((1, 255))),
    )
    populations = [
        _draw_lif(draw, rng, f"n{i}", (draw(st.integers(2, 6)),), has_reset=has_reset)
        for i in range(draw(st.integers(1, 3)))
    ]
    ends = [
        ("input", "n0"),
        *((f"n{i}", f"n{i + 1}") for i in range(len(populations) - 1)),
    ]
    names = st.sampled_from([p.name for p in populations])
    ends += draw(st.lists(st.tuples(names, names), max_size=2))
    sizes = {p.name: p.size for p in populations} | {"input": source.size}
    projections = []
    for index, (start, end) in enumerate(ends):
        n_in = sizes[start]
        exponent = draw(st.one_of(st.integers(0, 7), st.integers(-8, 7)))
        per_axon = draw(st.booleans()) and exponent >= 0
        axon_delay = (
            rng.integers(0, LONGEST_DELAY + 1, n_in) if per_axon else np.array(0)
        )
        late = st.sampled_from((1, 1, 2, LONGEST_DELAY + 1))
        weights = draw_weights(draw, rng, (sizes[end], n_in))
        if weights.max() <= 0:  # without a positive one, Lava clips at -255
            weights = np.maximum(weights, -255)
        projections.append(
            Projection(
                name=f"p{index}",
                source=start,
                target=end,
                synapses=DenseSynapses(weights=weights),
                exponent=exponent,
                delay=1 if per_axon else draw(late),
                axon_delay=axon_delay,
            )
        )
    n = draw(st.sampled_from((10, 30, 80)))  # 80: long enough for all delays
    return _case(rng, n, source, populations, projections)


@st.composite
def conv_cases(draw: Draw, *, has_reset: bool) -> Case:
    """Draw one or two ``Conv``, each before ``LIF``."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(draw(st.integers(1, most)) for most in (3, 5, 5))
    source = Source(
        name="input", shape=shape, largest_value=draw(st.sampled_from((1, 15)))
    )
    populations: list[Population] = []
    projections: list[Projection] = []
    start = source.name
    for i in range(draw(st.integers(1, 2))):
        synapses, shape = draw_conv(draw, rng, shape, groups=0)
        populations.append(_draw_lif(draw, rng, f"n{i}", shape, has_reset=has_reset))
        projections.append(
            Projection(
                name=f"p{i}",
                source=start,
                target=f"n{i}",
                synapses=synapses,
                exponent=0,
                delay=1,
            )
        )
        start = f"n{i}"
    return _case(rng, draw(st.integers(4, 16)), source, populations, projections)


def _draw_lif(
    draw: Draw,
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, ...],
    *,
    has_reset: bool,
) -> Population:
    limit = draw(st.sampled_from((0, 40, 4095)))
    return Population(
        name=name,
        shape=shape,
        current_decay=np.array(draw(st.sampled_from((0, 1, 300, 2048, 4094, 4095)))),
        voltage_decay=np.array(draw(st.sampled_from((0, 1, 128, 2048, 4095)))),
        bias_mantissa=rng.integers(-limit, limit + 1, shape),
        bias_exponent=draw(st.integers(0, 7)),
        threshold=np.array(draw(st.sampled_from((5, 100, 2000, 0, 20000, 131071)))),
        reset=Reset.HARD,
        reset_amount=np.array(0),
        initial_voltage=np.array(0) if has_reset else rng.integers(-9000, 9000, shape),
        comparison=Comparison.GREATER,
        spikes=True,
        scale=np.array(1.0),
    )


def _case(
    rng: np.random.Generator,
    n: int,
    source: Source,
    populations: list[Population],
    projections: list[Projection],
) -> Case:
    graph = QuantizedGraph(
        name="own",
        source=source,
        populations=tuple(populations),
        projections=tuple(_with_one_wrap(source, projections)),
        output=populations[-1].name,
        training=Training(timesteps=n, encoding=Encoding.DIRECT),
        precision=TARGET.precision,
    )
    size = (n, *source.shape)
    values = rng.integers(0, source.largest_value + 1, size) * (rng.random(size) < 0.6)
    return Case(graph=graph, stimuli=(Stimulus(values=values, is_constant=False),))


def _with_one_wrap(source: Source, projections: list[Projection]) -> list[Projection]:
    """Lower exponents until no current wraps more than once in a timestep."""

    def bound(projection: Projection) -> float:
        weights = projection.synapses.weights
        largest = np.abs(weights).reshape(len(weights), -1).sum(axis=1).max()
        spike = source.largest_value if projection.source == source.name else 1
        return float(largest * spike * 2.0**projection.exponent)

    projections = list(projections)
    for end in {p.target for p in projections}:
        mine = [i for i, p in enumerate(projections) if p.target == end]
        while sum(bound(projections[i]) for i in mine) > ONE_WRAP:
            widest = max(mine, key=lambda i: bound(projections[i]))
            p = projections[widest]
            # below 0, Lava rounds the parts of each delay alone
            axon_delay = p.axon_delay if p.exponent > 0 else np.array(0)
            projections[widest] = replace(
                p, exponent=p.exponent - 1, axon_delay=axon_delay
            )
    return projections

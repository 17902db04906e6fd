"""Builders of small networks, so that each test is about one thing."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import Shape
from snn_deploy.chip.target import Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Reset
from snn_deploy.ir.nodes import BatchNorm, Conv2d, Input, Linear, Node
from snn_deploy.ir.quantized import (
    Population,
    Projection,
    QuantizedGraph,
    Source,
)
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.ir.synapses import (
    DenseSynapses,
)

TRAINING = Training(timesteps=6, encoding=Encoding.DIRECT)
RATE = Training(timesteps=6, encoding=Encoding.RATE)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def linear(name: str, n_in: int, n_out: int, seed: int = 1) -> Linear:
    draw = rng(seed)
    weight = draw.normal(size=(n_out, n_in)) / np.sqrt(n_in)
    return Linear(name=name, weight=weight, bias=0.1 * draw.normal(size=n_out))


def conv(name: str, shape: Shape, n_out: int, seed: int = 1, **changes: Any) -> Conv2d:
    draw = rng(seed)
    groups = changes.get("groups", 1)
    kernel = changes.pop("kernel", (3, 3))
    size = (n_out, shape[0] // groups, *kernel)
    settings: dict[str, Any] = {
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
        **changes,
    }
    weight = draw.normal(size=size) / np.sqrt(np.prod(size[1:]))
    bias = 0.1 * draw.normal(size=n_out)
    return Conv2d(name=name, weight=weight, bias=bias, shape=shape, **settings)


def batch_norm(name: str, shape: Shape, seed: int = 1) -> BatchNorm:
    draw = rng(seed)
    n = shape[0]
    return BatchNorm(
        name=name,
        shape=shape,
        mean=draw.normal(size=n),
        variance=draw.uniform(0.5, 2, size=n),
        scale=draw.uniform(0.5, 2, size=n),
        shift=draw.normal(size=n),
        epsilon=1e-5,
    )


def lif(name: str, shape: Shape, **changes: Any) -> Lif:
    one, zero = np.array(1.0), np.array(0.0)
    neurons = Lif(
        name=name,
        shape=shape,
        current_decay=one,
        voltage_decay=np.array(0.25),
        input_gain=one,
        bias=zero,
        initial_voltage=zero,
        threshold=np.array(0.5),
        reset=Reset.HARD,
        reset_amount=np.array(0.5),
        comparison=Comparison.GREATER,
        spike_value=1.0,
    )
    return replace(neurons, **changes)


def integrator(name: str, shape: Shape, **changes: Any) -> Integrator:
    one, zero = np.array(1.0), np.array(0.0)
    neurons = Integrator(
        name=name,
        shape=shape,
        current_decay=one,
        voltage_decay=zero,
        input_gain=one,
        bias=zero,
        initial_voltage=zero,
    )
    return replace(neurons, **changes)


def chain(*nodes: Node, training: Training = TRAINING) -> Graph:
    """Return the layers one after another, behind an input."""
    start = Input(name="input", shape=nodes[0].input_shape)
    row = (start, *nodes)
    edges = [Edge(source=a.name, target=b.name) for a, b in pairwise(row)]
    return Graph(name="chain", nodes=row, edges=tuple(edges), training=training)


def graph(
    nodes: Sequence[Node], arrows: str, *, shape: Shape, training: Training = TRAINING
) -> Graph:
    """Return a graph of ``nodes`` and an input, edges as in ``input>a a>b a>c:1``."""
    edges = []
    for arrow in arrows.split():
        ends, _, delay = arrow.partition(":")
        source, target = ends.split(">")
        edges.append(Edge(source=source, target=target, delay=int(delay or 0)))
    start = Input(name="input", shape=shape)
    return Graph(
        name="graph", nodes=(start, *nodes), edges=tuple(edges), training=training
    )


def images(n: int, shape: Shape, seed: int = 0) -> list[Stimulus]:
    """Return constant stimuli of random bytes."""
    values = rng(seed).integers(0, 256, size=(n, 1, *shape))
    return [Stimulus(values=value, is_constant=True) for value in values]


def trains(n: int, n_timesteps: int, shape: Shape, seed: int = 0) -> list[Stimulus]:
    """Return random spike trains, a third of all positions."""
    spikes = (rng(seed).random((n, n_timesteps, *shape)) < 0.33).astype(np.int32)
    return [Stimulus(values=value, is_constant=False) for value in spikes]


def population(name: str, shape: Shape, **changes: Any) -> Population:
    """Return integer neurons with a threshold of 100 and no memory in the current."""
    zero = np.array(0)
    neurons = Population(
        name=name,
        shape=shape,
        current_decay=np.array(4095),
        voltage_decay=np.array(409),
        bias_mantissa=zero,
        bias_exponent=0,
        threshold=np.array(100),
        reset=Reset.HARD,
        reset_amount=np.array(6400),
        initial_voltage=zero,
        comparison=Comparison.GREATER,
        spikes=True,
        scale=np.array(1.0),
    )
    return replace(neurons, **changes)


def dense(
    source: str, target: str, weights: npt.ArrayLike, **changes: Any
) -> Projection:
    synapses = DenseSynapses(weights=np.asarray(weights, np.int64))
    projection = Projection(
        name=f"{source}->{target}",
        source=source,
        target=target,
        synapses=synapses,
        exponent=0,
    )
    return replace(projection, **changes)


def integers(
    populations: Sequence[Population],
    projections: Sequence[Projection],
    *,
    shape: Shape,
    largest_value: int = 1,
    training: Training = RATE,
) -> QuantizedGraph:
    """Return a network in integers; the last population is read out."""
    return QuantizedGraph(
        name="integers",
        source=Source(name="input", shape=shape, largest_value=largest_value),
        populations=tuple(populations),
        projections=tuple(projections),
        output=populations[-1].name,
        training=training,
        precision=simulator().precision,
    )


def simulator() -> Target:
    return read_target("loihi-sim")

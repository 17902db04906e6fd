"""Random networks in integers, over everything that a chip neuron and a synapse can do.

Hypothesis draws the structure, and a seed for the arrays: a failing network shrinks to
few populations, projections and timesteps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from snn_deploy.arrays import IntArray, Shape, n_neurons
from snn_deploy.chip.target import Mesh
from snn_deploy.chip.target_file import read_target
from snn_deploy.fixedpoint import BIAS_MANTISSA_LIMIT, VOLTAGE_LIMIT
from snn_deploy.ir.graph import Training
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, Piece
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph, Source
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses, SparseSynapses, Synapses

TARGET = read_target("loihi-sim")
# retime may add to a delay of 62 what a longer path beside it takes
SMALL = replace(  # packets from one of its chips to another pass a third one
    TARGET, mesh=Mesh(neurocores=2, neurocores_per_tile=1, height=2, width=1, source="")
)
ROOMY = replace(TARGET, precision=replace(TARGET.precision, delay_max=1000))
LARGEST = {"binary": 1, "gray": 255, "wide": 1 << 20}  # spikes of the input

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A network as trained, and inputs for it."""

    graph: QuantizedGraph
    stimuli: tuple[Stimulus, ...]

    @property
    def n_timesteps(self) -> int:
        return self.graph.training.timesteps


@st.composite
def cases(
    draw: Draw,
    *,
    n_stimuli: int = 1,
    max_populations: int = 4,
    max_timesteps: int = 24,
    is_on_chip: bool = False,
    may_be_long: bool = True,
) -> Case:
    """Draw a network and inputs; on the chip every connection takes a timestep.

    A long one lasts until what is sent first has arrived, with every delay.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(sorted(LARGEST)))
    source = Source(name="input", shape=draw(shapes()), largest_value=LARGEST[kind])
    senders: list[tuple[str, Shape]] = [(source.name, source.shape)]
    populations: list[Population] = []
    projections: list[Projection] = []

    def connect(source: str, target: str, synapses: Synapses, least: int) -> None:
        shape = dict(senders)[source]
        projections.append(
            Projection(
                name=f"p{len(projections)}",
                source=source,
                target=target,
                synapses=synapses,
                exponent=draw(exponents),
                delay=draw(delays(least)),
                axon_delay=draw_axon_delay(draw, rng, shape),
            )
        )

    least = 1 if is_on_chip else 0
    for index in range(draw(st.integers(1, max_populations))):
        sender, shape = senders[draw(st.integers(0, len(senders) - 1))]
        synapses, out_shape = draw_synapses(draw, rng, shape)
        name = f"n{index}"
        populations.append(draw_population(draw, rng, name, out_shape))
        connect(sender, name, synapses, least)
        for other, other_shape in draw(st.lists(st.sampled_from(senders), max_size=2)):
            between = draw_synapses_between(draw, rng, other_shape, out_shape)
            connect(other, name, between, least)
        senders.append((name, out_shape))
    n_back = draw(st.integers(0, 2))
    for _ in range(n_back):  # recurrent: as much delay as any loop has edges
        late = draw(st.integers(0, len(populations) - 1))
        early = draw(st.integers(0, late))
        _, shape = senders[late + 1]
        _, out_shape = senders[early + 1]
        between = draw_synapses_between(draw, rng, shape, out_shape)
        connect(f"n{late}", f"n{early}", between, late - early + 1)
    graph = QuantizedGraph(
        name="drawn",
        source=source,
        populations=tuple(populations),
        projections=tuple(projections),
        output=draw(st.sampled_from(populations)).name,
        training=Training(
            timesteps=draw(lengths(max_timesteps, may_be_long=may_be_long)),
            encoding=Encoding.DIRECT,
        ),
        precision=draw(st.sampled_from(precisions(populations))),
    )
    biased = [p for p in populations if p.takes_bias]
    bias_shape = biased[0].shape if biased else None
    for p in biased[1:]:  # one bias: it fits one population
        position = populations.index(p)
        populations[position] = replace(p, takes_bias=False)
    graph = replace(graph, populations=tuple(populations))
    stimuli = tuple(
        draw_stimulus(draw, rng, graph, bias_shape) for _ in range(n_stimuli)
    )
    return Case(graph=graph, stimuli=stimuli)


def lengths(most: int, *, may_be_long: bool = True) -> st.SearchStrategy[int]:
    """Return numbers of timesteps: few, or more than the longest delay."""
    few = st.integers(1, most)
    return st.one_of(few, few, st.integers(64, 76)) if may_be_long else few


def precisions(populations: Sequence[Population]) -> list[Any]:
    """Return the precisions that allow these decays of the current."""
    own = TARGET.precision
    found = [own, replace(own, counts_timesteps=False)]
    if any((p.current_decay < 0).any() for p in populations):
        return found
    return found + [replace(precision, current_decay_offset=0) for precision in found]


@st.composite
def shapes(draw: Draw) -> Shape:
    """Draw a row of neurons, or channels with height and width."""
    if draw(st.booleans()):
        return (draw(st.integers(1, 6)),)
    return tuple(draw(st.integers(1, most)) for most in (4, 6, 6))


exponents = st.one_of(st.just(0), st.integers(-8, 7))


def delays(least: int) -> st.SearchStrategy[int]:
    """Return delays of at least ``least``, often short, up to 62."""
    return st.one_of(
        st.just(least),
        st.integers(least, least + 4),
        st.integers(least, 62),
        st.just(62),
    )


def draw_axon_delay(draw: Draw, rng: np.random.Generator, shape: Shape) -> IntArray:
    """Draw delays for each axon or channel, or none."""
    kind = draw(st.sampled_from(("none", "none", "short", "long", "channel")))
    if kind == "none":
        return np.array(0)
    if kind == "channel":
        return rng.integers(0, 4, (shape[0], *(1 for _ in shape[1:])))
    return rng.integers(0, 4 if kind == "short" else 63, shape)


WEIGHTS: dict[str, Callable[[np.random.Generator, Shape], IntArray]] = {
    "mixed": lambda rng, shape: 2 * rng.integers(-128, 128, shape),
    "small": lambda rng, shape: 2 * rng.integers(-10, 16, shape),
    "positive": lambda rng, shape: rng.integers(0, 256, shape),
    "negative": lambda rng, shape: -rng.integers(0, 256, shape),
    "extreme": lambda rng, shape: rng.choice([-256, 254, 0], shape),
    "largest": lambda rng, shape: np.full(shape, 255),
    "smallest": lambda rng, shape: np.full(shape, -256),
}


def draw_weights(draw: Draw, rng: np.random.Generator, shape: Shape) -> IntArray:
    """Draw weights of one or both signs, some at the ends of their range."""
    kind = draw(st.sampled_from(("small", "mixed", *sorted(WEIGHTS))))
    return WEIGHTS[kind](rng, shape)


def draw_synapses(
    draw: Draw, rng: np.random.Generator, shape: Shape
) -> tuple[Synapses, Shape]:
    """Draw synapses from a source of ``shape``, and the shape that they lead to."""
    if len(shape) == 3:
        match draw(st.sampled_from(("conv", "conv", "depthwise", "pool", "other"))):
            case "conv":
                synapses, _ = draw_conv(draw, rng, shape, groups=0)
                return draw_crop(draw, synapses, shape)
            case "depthwise":
                synapses, _ = draw_conv(draw, rng, shape, groups=shape[0])
                return draw_crop(draw, synapses, shape)
            case "pool":
                return draw_pool(draw, shape)
    out_shape = draw(shapes())
    return draw_synapses_between(draw, rng, shape, out_shape), out_shape


def draw_conv(
    draw: Draw, rng: np.random.Generator, shape: Shape, groups: int
) -> tuple[ConvSynapses, Shape]:
    """Draw a convolution; 0 groups: any number."""
    divisors = [n for n in range(1, shape[0] + 1) if shape[0] % n == 0]
    groups = groups or draw(st.sampled_from(divisors))
    n_out = groups * draw(st.integers(1, 2))
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    stride, kernel = draw(pairs), draw(pairs)
    dilation = draw(st.sampled_from(((1, 1), (1, 2), (2, 1), (2, 2))))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    window = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(  # the window has to fit
        max(p, -((size - w) // 2) if w > size else 0)
        for p, w, size in zip(padding, window, shape[1:], strict=True)
    )
    size = (n_out, shape[0] // groups, *kernel)
    synapses = ConvSynapses(
        weights=draw_weights(draw, rng, size),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    return synapses, synapses.convolved_shape(shape, size)


def draw_crop(
    draw: Draw, synapses: ConvSynapses, shape: Shape
) -> tuple[ConvSynapses, Shape]:
    """Leave out the last row and column of a convolution, or leave it whole."""
    size = synapses.weights.shape
    whole = synapses.convolved_shape(shape, size)
    height, width = (min(1, length - 1) for length in whole[1:])
    cropped = draw(st.sampled_from(((0, 0), (height, width))))
    synapses = replace(synapses, cropped=cropped)
    return synapses, synapses.convolved_shape(shape, size)


def draw_pool(draw: Draw, shape: Shape) -> tuple[ConvSynapses, Shape]:
    """Draw a sum pooling: a depthwise convolution of ones."""
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in shape[1:])
    size = (shape[0], 1, *kernel)
    synapses = ConvSynapses(
        weights=np.ones(size, np.int64),
        stride=(kernel[0], kernel[1]),
        padding=(0, 0),
        dilation=(1, 1),
        groups=shape[0],
    )
    return synapses, synapses.convolved_shape(shape, size)


def draw_synapses_between(
    draw: Draw, rng: np.random.Generator, shape: Shape, out_shape: Shape
) -> Synapses:
    """Draw dense, sparse or, between equal shapes, convolutional synapses."""
    n_in, n_out = n_neurons(shape), n_neurons(out_shape)
    kinds = ["dense", "sparse"]
    if len(shape) == len(out_shape) == 3 and shape[1:] == out_shape[1:]:
        kinds.append("conv")
    match draw(st.sampled_from(kinds)):
        case "dense":
            return DenseSynapses(weights=draw_weights(draw, rng, (n_out, n_in)))
        case "sparse":
            n_synapses = draw(st.integers(0, 3 * n_out))
            places = rng.choice(n_in * n_out, min(n_synapses, n_in * n_out), False)
            return SparseSynapses(
                targets=places // n_in,
                sources=places % n_in,
                weights=draw_weights(draw, rng, places.shape),
                size=(n_out, n_in),
            )
    return ConvSynapses(
        weights=draw_weights(draw, rng, (out_shape[0], shape[0], 3, 3)),
        stride=(1, 1),
        padding=(1, 1),
        dilation=(1, 1),
        groups=1,
    )


def draw_population(
    draw: Draw, rng: np.random.Generator, name: str, shape: Shape
) -> Population:
    """Draw neurons; each parameter is one, one per channel, or one per neuron."""

    def registers(*choices: Callable[[Shape], IntArray]) -> IntArray:
        per_channel = (shape[0], *(1 for _ in shape[1:]))
        size = draw(st.sampled_from(((), per_channel, shape)))
        values: IntArray = draw(st.sampled_from(choices))(size)
        return values

    def among(*values: int) -> Callable[[Shape], IntArray]:
        return lambda size: rng.choice(values, size)

    def between(low: int, high: int) -> Callable[[Shape], IntArray]:
        return lambda size: rng.integers(low, high + 1, size)

    limit, largest = BIAS_MANTISSA_LIMIT, VOLTAGE_LIMIT
    reset = draw(st.sampled_from(Reset))
    threshold = registers(between(1, 300), between(1, 20000), among(0, 131071))
    reset_amount = registers(between(1, 20000), among(1, 64, largest), between(0, 99))
    if reset is Reset.SOFT and draw(st.booleans()):
        reset_amount = threshold << 6 if threshold.max() < 1 << 17 else threshold
        reset_amount = np.minimum(reset_amount, largest)
    initial = registers(among(0), between(-9000, 9000), among(-largest, largest))
    lowest = registers(
        among(-largest), among(-largest), between(-9000, 0), among(0, -9)
    )
    max_spikes = [1, 1]
    if reset is Reset.SOFT and reset_amount.min() > 0:
        max_spikes += [2, 7, 300 if reset_amount.min() < 4096 else 65535]
    return Population(
        name=name,
        shape=shape,
        current_decay=registers(
            among(4095), among(-1, 0, 4095), between(-1, 4095), among(4094, 1)
        ),
        voltage_decay=registers(
            among(0, 4095, 4096), between(0, 4096), between(0, 400)
        ),
        bias_mantissa=registers(
            among(0), between(-limit, limit), among(-limit, limit), between(-20, 40)
        ),
        bias_exponent=draw(st.one_of(st.just(0), st.integers(0, 7))),
        threshold=threshold,
        reset=reset,
        reset_amount=reset_amount,
        initial_voltage=np.maximum(initial, lowest),
        lowest_voltage=lowest,
        comparison=draw(st.sampled_from(Comparison)),
        spikes=draw(st.sampled_from((True, True, True, False))),
        scale=np.array(1.0),
        refractory=draw(st.sampled_from((0, 0, 1, 3, 63))),
        max_spikes=draw(st.sampled_from(max_spikes)),
        takes_bias=draw(st.sampled_from((False, False, True))),
    )


def draw_stimulus(
    draw: Draw,
    rng: np.random.Generator,
    graph: QuantizedGraph,
    bias_shape: Shape | None,
) -> Stimulus:
    """Draw an input: constant or moving, as long as trained or not, perhaps a bias."""
    source, n = graph.source, graph.training.timesteps
    is_constant = draw(st.sampled_from((False, False, True)))
    n_rows = 1 if is_constant else draw(st.sampled_from((n, n, max(1, n - 2), n + 2)))
    size = (n_rows, *source.shape)
    values = rng.integers(0, source.largest_value + 1, size)
    if source.largest_value > LARGEST["gray"]:
        values *= rng.choice([-1, 1], size)
    values *= rng.random(size) < draw(st.sampled_from((0.2, 0.6, 1.0)))
    bias = None
    if bias_shape and draw(st.booleans()):
        limit = BIAS_MANTISSA_LIMIT
        bias = rng.integers(-limit, limit + 1, bias_shape)
    return Stimulus(values=values, is_constant=is_constant, bias=bias)


def mapped(graph: QuantizedGraph, *, reads_zeros: bool = True) -> MappedNetwork:
    """Return the network with every second neuron on a neurocore of a second chip."""
    cores = tuple(
        Neurocore(
            index=index,
            x=index,
            y=2 * index,
            pieces=tuple(
                Piece(
                    population=p.name,
                    neurons=np.arange(p.size)[index::2],
                    synapse_bits=1,
                    n_input_axons=1,
                )
                for p in graph.populations
            ),
        )
        for index in range(2)
    )
    limits = replace(SMALL.neurocore, reads_zeros=reads_zeros)
    target = replace(SMALL, neurocore=limits)
    return MappedNetwork(graph=graph, target=target, cores=cores)

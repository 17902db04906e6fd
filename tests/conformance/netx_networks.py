"""Random networks in integers, of all that a ``.net`` file can say to netx."""

import numpy as np

from snn_deploy.arrays import IntArray, Shape, n_neurons
from snn_deploy.chip.target_file import read_target
from snn_deploy.fixedpoint import THRESHOLD_BITS
from snn_deploy.ir.graph import Training
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph, Source
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses, Synapses
from tests.build import population

TARGET = read_target("loihi2-netx")
LONGEST_DELAY = TARGET.precision.delay_max
MOST = (1 << THRESHOLD_BITS) - 1


def netx_network(seed: int) -> QuantizedGraph:
    """Return one to four layers in local time, with biases or what outlasts resets.

    That are delays and recurrent connections: beside them no bias is over 0.
    """
    rng = np.random.default_rng(seed)
    is_late = bool(rng.random() < 0.4)
    is_graded = bool(rng.random() < 0.3)
    source = Source(
        name="input",
        shape=_start(rng, is_graded=is_graded),
        largest_value=255 if is_graded else 1,
    )
    populations: list[Population] = []
    projections: list[Projection] = []
    before, shape, largest = source.name, source.shape, source.largest_value
    for number in range(rng.integers(1, 5)):
        name = f"n{number}"
        synapses, shape = _synapses(rng, shape, is_graded=largest > 1)
        delay = rng.integers(0, 5, 2) * int(isinstance(synapses, DenseSynapses))
        sender = source.shape if number == 0 else populations[-1].shape
        axon_delay = rng.integers(0, rng.choice([2, 9, LONGEST_DELAY + 1]), sender)
        has_delay = is_late and delay[0] > 0
        projections.append(
            Projection(
                name=f"{before}->{name}",
                source=before,
                target=name,
                synapses=synapses,
                exponent=0,
                axon_delay=axon_delay if has_delay else np.array(0),
            )
        )
        populations.append(
            _neurons(rng, name, shape, synapses, largest, is_biased=not is_late)
        )
        if is_late and not has_delay and len(shape) == 1 and rng.random() < 0.6:
            weights = 2 * rng.integers(-40, 41, (shape[0], shape[0]))
            loop = DenseSynapses(weights=weights)
            projections.append(
                Projection(
                    name=f"{name}->{name}",
                    source=name,
                    target=name,
                    synapses=loop,
                    exponent=0,
                    delay=1,
                )
            )
            is_late = False  # one layer's own delays are all that our graphs can say
        before, largest = name, 1
    return QuantizedGraph(
        name="drawn",
        source=source,
        populations=tuple(populations),
        projections=tuple(projections),
        output=before,
        training=Training(
            timesteps=int(rng.integers(1, 16)),
            encoding=Encoding.DIRECT if is_graded else Encoding.EVENTS,
            input_scale=255.0 if is_graded else 1.0,
        ),
        precision=TARGET.precision,
    )


def _start(rng: np.random.Generator, *, is_graded: bool) -> Shape:
    """Return the shape of the input, small where its sums are large: none wraps twice.

    Lava's own neurons take a second lap for none.
    """
    if rng.random() < 0.4:
        return (int(rng.integers(1, 9)),)
    most = (3, 6, 6) if is_graded else (4, 9, 9)
    return tuple(int(n) for n in rng.integers((1, 4, 4), most))


def _synapses(
    rng: np.random.Generator, shape: Shape, *, is_graded: bool
) -> tuple[Synapses, Shape]:
    if len(shape) == 1 or rng.random() < 0.3:
        n_out = int(rng.integers(2, 7))
        weights = _weights(rng, (n_out, n_neurons(shape)), is_graded)
        return DenseSynapses(weights=weights), (n_out,)
    groups = shape[0] if rng.random() < 0.3 else 1
    n_out = groups * int(rng.integers(1, 4))
    kernel = rng.integers(1, 4, 2)
    kernel = np.minimum(kernel, shape[1:])
    size = (n_out, shape[0] // groups, int(kernel[0]), int(kernel[1]))
    dilation = (2, 1) if kernel[0] == 2 and shape[1] > 4 else (1, 1)
    synapses = ConvSynapses(
        weights=_weights(rng, size, is_graded),
        stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        padding=(int(rng.integers(0, 2)), int(rng.integers(0, 3))),
        dilation=dilation,
        groups=groups,
    )
    return synapses, synapses.convolved_shape(shape, size)


def _weights(rng: np.random.Generator, size: Shape, is_graded: bool) -> IntArray:
    """Return weights of both signs, all even, or of one, some at their ends."""
    kind = "small" if is_graded else rng.choice(["mixed", "small", "odd", "extreme"])
    if kind == "odd":
        return rng.integers(0, 256, size) | 1
    if kind == "extreme":
        weights: IntArray = rng.choice(np.array([-256, 254, 0]), size)
    else:
        low, high = (-6, 12) if kind == "small" else (-128, 128)
        weights = 2 * rng.integers(low, high, size)
    weights.flat[0] = 2 * rng.integers(1, 5)  # netx divides by the largest
    return weights


def _neurons(
    rng: np.random.Generator,
    name: str,
    shape: Shape,
    synapses: Synapses,
    largest: int,
    *,
    is_biased: bool,
) -> Population:
    typical = np.maximum(synapses.weights, 0).sum() / len(synapses.weights) * largest
    size = [(), (shape[0], *(1,) * (len(shape) - 1)), shape][rng.integers(0, 3)]
    low, high = (-30, 60) if is_biased else (-30, 1)
    return population(
        name,
        shape,
        current_decay=np.array(rng.choice([-1, 4095, int(rng.integers(-1, 4096))])),
        voltage_decay=np.array(rng.choice([0, 4096, int(rng.integers(0, 4097))])),
        threshold=np.array(min(int(typical * rng.choice([0.1, 0.3, 0.8])) + 1, MOST)),
        bias_mantissa=rng.integers(low, high, size) * int(rng.random() < 0.8),
        bias_exponent=6,
        reset_amount=np.array(0),
    )


def netx_stimuli(network: QuantizedGraph, n: int, seed: int) -> list[Stimulus]:
    """Return inputs of random spikes for all timesteps."""
    rng = np.random.default_rng(seed)
    shape = (n, network.training.timesteps, *network.source.shape)
    values = rng.random(shape) < rng.choice([0.2, 0.5])
    sizes = rng.integers(1, network.source.largest_value + 1, shape)
    return [Stimulus(values=v, is_constant=False) for v in values * sizes]

"""Three random networks of usual sizes, in integers, about 10 % of neurons active."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from snn_deploy.arrays import IntArray, Shape, n_neurons
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.ir.graph import Training
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph, Source
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses

Layer = ConvSynapses | DenseSynapses

TIMESTEPS = 16
ACTIVITY = 0.1


def n1() -> QuantizedGraph:
    """Return a perceptron, 784-512-512-10."""
    rng = np.random.default_rng(0)
    sizes = (784, 512, 512, 10)
    layers = [dense(rng, n_in, n_out, 2) for n_in, n_out in pairwise(sizes)]
    return network("N1", (784,), layers, THRESHOLDS["N1"])


def n2() -> QuantizedGraph:
    """Return a small convolutional network on 28 x 28 pixels."""
    rng = np.random.default_rng(0)
    layers: list[Layer] = [
        conv(rng, 1, 16, 1),
        conv(rng, 16, 32, 2),
        conv(rng, 32, 64, 2),
        dense(rng, 64 * 7 * 7, 10, 0),
    ]
    return network("N2", (1, 28, 28), layers, THRESHOLDS["N2"])


def n3() -> QuantizedGraph:
    """Return a convolutional network like a small VGG, on 32 x 32 pixels in color."""
    rng = np.random.default_rng(0)
    layers: list[Layer] = [
        conv(rng, 3, 64, 1),
        conv(rng, 64, 64, 2),
        conv(rng, 64, 128, 1),
        conv(rng, 128, 128, 2),
        conv(rng, 128, 256, 1),
        dense(rng, 256 * 8 * 8, 10, 0),
    ]
    return network("N3", (3, 32, 32), layers, THRESHOLDS["N3"])


NETWORKS: dict[str, Callable[[], QuantizedGraph]] = {"N1": n1, "N2": n2, "N3": n3}

# found by bisection, layer after layer, so that ACTIVITY of the neurons spike
THRESHOLDS = {
    "N1": (841, 648, 442),
    "N2": (56, 243, 455, 454),
    "N3": (90, 679, 575, 1084, 1019, 528),
}


def inputs(graph: QuantizedGraph, n: int, seed: int = 7) -> list[Stimulus]:
    """Return spike trains in which each pixel is active in a tenth of the timesteps."""
    rng = np.random.default_rng(seed)
    size = (n, graph.training.timesteps, *graph.source.shape)
    spikes = (rng.random(size) < ACTIVITY).astype(np.int32)
    return [Stimulus(values=values, is_constant=False) for values in spikes]


def mapped(graph: QuantizedGraph) -> MappedNetwork:
    """Return the network on neurocores of the simulated chip."""
    target = read_target("loihi-sim")
    return place(partition(retime(graph, target), target), target)


def dense_network(n_in: int, n_out: int) -> QuantizedGraph:
    """Return a single dense layer."""
    layer = dense(np.random.default_rng(0), n_in, n_out, 2)
    return network("dense", (n_in,), [layer], [1000])


def _weights(rng: np.random.Generator, mean: float, shape: Shape) -> IntArray:
    drawn = np.rint(rng.normal(mean, 40, shape)).clip(-127, 127)
    return drawn.astype(np.int64) // 2 * 2


def dense(
    rng: np.random.Generator, n_in: int, n_out: int, mean: float
) -> DenseSynapses:
    """Return random weights from each of ``n_in`` neurons to each of ``n_out``."""
    return DenseSynapses(weights=_weights(rng, mean, (n_out, n_in)))


def conv(rng: np.random.Generator, n_in: int, n_out: int, stride: int) -> ConvSynapses:
    """Return random kernels of 3 x 3."""
    return ConvSynapses(
        weights=_weights(rng, 2, (n_out, n_in, 3, 3)),
        stride=(stride, stride),
        padding=(1, 1),
        dilation=(1, 1),
        groups=1,
    )


def network(
    name: str, shape: Shape, layers: Sequence[Layer], thresholds: Sequence[int]
) -> QuantizedGraph:
    """Return a chain of layers with their thresholds, behind an input of ``shape``."""
    populations, projections = [], []
    before, size = "input", shape
    for index, (layer, threshold) in enumerate(zip(layers, thresholds, strict=True)):
        row = (n_neurons(size),)
        found = layer.output_shape(row if isinstance(layer, DenseSynapses) else size)
        assert found is not None
        size = found
        population = _population(f"layer{index + 1}", size, threshold)
        projections.append(
            Projection(
                name=f"{before}->{population.name}",
                source=before,
                target=population.name,
                synapses=layer,
                exponent=0,
            )
        )
        populations.append(population)
        before = population.name
    return QuantizedGraph(
        name=name,
        source=Source(name="input", shape=shape, largest_value=1),
        populations=tuple(populations),
        projections=tuple(projections),
        output=before,
        training=Training(timesteps=TIMESTEPS, encoding=Encoding.RATE),
        precision=read_target("loihi-sim").precision,
    )


def _population(name: str, shape: Shape, threshold: int) -> Population:
    return Population(
        name=name,
        shape=shape,
        current_decay=np.array(4095),
        voltage_decay=np.array(409),
        bias_mantissa=np.array(0),
        bias_exponent=0,
        threshold=np.array(threshold),
        reset=Reset.HARD,
        reset_amount=np.array(1),
        initial_voltage=np.array(0),
        comparison=Comparison.GREATER,
        spikes=True,
        scale=np.array(1.0),
    )

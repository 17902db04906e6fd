"""Networks of random weights, from those of MNIST size to 10^8 neurons."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from benchmarks.networks import conv as integer_conv
from benchmarks.networks import network
from snn_deploy.arrays import Shape
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.nodes import Conv2d, Flatten, Input, Linear, Node
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding

VGG16 = (
    (64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (256, 1),
    (512, 2), (512, 1), (512, 1), (512, 2), (512, 1), (512, 1),
)  # fmt: skip
N3 = ((64, 1), (64, 2), (128, 1), (128, 2), (256, 1))
CHANNELS, LAYERS = 16, 4  # of the network of any size


class Builder:
    """Layers of neurons one behind another, or beside one another."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.name = name
        self.rng = np.random.default_rng(0)
        self.nodes: list[Node] = [Input(name="input", shape=shape)]
        self.edges: list[Edge] = []

    def add(self, node: Node, *sources: str) -> str:
        """Add a node behind ``sources``."""
        self.nodes.append(node)
        self.edges += [Edge(source=source, target=node.name) for source in sources]
        return node.name

    def weights(
        self,
        name: str,
        source: str,
        kernel: int,
        n: int,
        stride: int,
        groups: int = 1,
    ) -> str:
        """Add a convolution without neurons behind it."""
        shape = self.shape(source)
        size = (n, shape[0] // groups, kernel, kernel)
        layer = Conv2d(
            name=name,
            shape=shape,
            weight=self.rng.normal(size=size) / np.sqrt(np.prod(size[1:])),
            bias=np.zeros(n),
            stride=(stride, stride),
            padding=(kernel // 2, kernel // 2),
            dilation=(1, 1),
            groups=groups,
        )
        return self.add(layer, source)

    def shape(self, name: str) -> Shape:
        """Return the shape of what a node gives."""
        return next(node.output_shape for node in self.nodes if node.name == name)

    def neurons(self, name: str, *sources: str) -> str:
        """Add integrate-and-fire neurons that sum up what ``sources`` give."""
        one, zero = np.array(1.0), np.array(0.0)
        neurons = Lif(
            name=name,
            shape=self.shape(sources[0]),
            current_decay=one,
            voltage_decay=zero,
            input_gain=one,
            bias=zero,
            initial_voltage=zero,
            threshold=one,
            reset=Reset.SOFT,
            reset_amount=one,
            comparison=Comparison.GREATER,
            spike_value=1.0,
        )
        return self.add(neurons, *sources)

    def classes(self, source: str, n: int) -> Graph:
        """Return the network with a dense layer of ``n`` neurons at its end."""
        shape = self.shape(source)
        n_in = int(np.prod(shape))
        flat = self.add(Flatten(name="flatten", shape=shape), source)
        weight = self.rng.normal(size=(n, n_in)) / np.sqrt(n_in)
        dense = self.add(Linear(name="dense", weight=weight, bias=np.zeros(n)), flat)
        self.neurons("output", dense)
        return Graph(
            name=self.name,
            nodes=tuple(self.nodes),
            edges=tuple(self.edges),
            training=Training(timesteps=4, encoding=Encoding.RATE),
        )


def plain(name: str, shape: Shape, layers: Sequence[tuple[int, int]]) -> Graph:
    """Return convolutions of 3 x 3, channels and stride each, and 10 classes."""
    build = Builder(name, shape)
    before = "input"
    for number, (n, stride) in enumerate(layers):
        layer = build.weights(f"conv{number}", before, 3, n, stride)
        before = build.neurons(f"layer{number}", layer)
    return build.classes(before, 10)


def resnet18() -> Graph:
    """Return ResNet-18 for 224 x 224 pixels, depthwise layers in place of pooling."""
    build = Builder("ResNet-18", (3, 224, 224))
    stem = build.neurons("stem", build.weights("conv", "input", 7, 64, 2))
    before = build.neurons("pool", build.weights("pooling", stem, 3, 64, 2, groups=64))
    widths = (64, 64, 128, 128, 256, 256, 512, 512)
    for number, (n_in, n) in enumerate(pairwise((64, *widths))):
        stride = 1 + (n_in < n)
        inner = build.weights(f"conv{number}a", before, 3, n, stride)
        inner = build.neurons(f"block{number}a", inner)
        outer = build.weights(f"conv{number}b", inner, 3, n, 1)
        around = before
        if n_in < n:
            around = build.weights(f"around{number}", before, 1, n, stride)
        before = build.neurons(f"block{number}b", outer, around)
    last = build.neurons(
        "last", build.weights("average", before, 7, 512, 7, groups=512)
    )
    return build.classes(last, 1000)


def of_size(n_neurons: int) -> QuantizedGraph:
    """Return a network of about so many neurons, each weight of it the same for all."""
    side = round((n_neurons / CHANNELS / LAYERS) ** 0.5)
    rng = np.random.default_rng(0)
    sizes = pairwise((3, *(CHANNELS,) * LAYERS))
    layers = [integer_conv(rng, n_in, n, 1) for n_in, n in sizes]
    return network(f"{n_neurons:.0e}", (3, side, side), layers, [100] * LAYERS)


GRAPHS: dict[str, Callable[[], Graph]] = {
    "N3": partial(plain, "N3", (3, 32, 32), N3),
    "VGG-16": partial(plain, "VGG-16", (3, 32, 32), VGG16),
    "ResNet-18": resnet18,
}
SIZES = (10**6, 10**7, 10**8)

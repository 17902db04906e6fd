"""Random conventional networks with quantized activations, on grids that integers meet.

Weights, biases and the steps of all activations are small multiples of powers of two,
and inputs multiples of 1/256, so that floats round nothing and ties are frequent.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from snn_deploy.arrays import Shape, n_neurons
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Qcfs
from snn_deploy.ir.nodes import (
    Add,
    AvgPool2d,
    Conv2d,
    Flatten,
    Input,
    Linear,
    Node,
)
from snn_deploy.ir.stimuli import Encoding

Draw = Callable[[st.SearchStrategy[Any]], Any]
GRID = 1 / 16  # of weights; a step of an activation is a multiple of it


@st.composite
def staircases(draw: Draw) -> Graph:
    """Draw layers in a row: convolutions, means, residual sums, dense ones at the end.

    The last layer is linear, or has activations that are read out by their number.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from((1, 2, 3, 4, 7)))
    sizes = st.sampled_from((4, 5, 6))
    shape = (draw(st.integers(1, 2)), draw(sizes), draw(sizes))
    row = _Row(shape, rng, levels, has_bias=draw(st.booleans()))
    for kind in draw(
        st.lists(st.sampled_from(("conv", "mean", "residual")), max_size=3)
    ):
        row.add(kind, draw(st.integers(1, 3)))
    row.flatten()
    if draw(st.booleans()):
        row.dense(draw(st.integers(2, 5)))
        row.activation()
    row.dense(draw(st.integers(2, 4)))
    if draw(st.sampled_from((False, False, True))):
        row.activation()
    timesteps = draw(st.sampled_from((1, levels, 2 * levels)))
    training = Training(
        timesteps=timesteps, encoding=Encoding.DIRECT, input_scale=255 / 256
    )
    return Graph(
        name="staircase",
        nodes=tuple(row.nodes),
        edges=tuple(row.edges),
        training=training,
    )


class _Row:
    def __init__(
        self, shape: Shape, rng: np.random.Generator, levels: int, *, has_bias: bool
    ) -> None:
        self.rng, self.levels, self.has_bias = rng, levels, has_bias
        self.nodes: list[Node] = [Input(name="input", shape=shape)]
        self.edges: list[Edge] = []

    @property
    def last(self) -> Node:
        return self.nodes[-1]

    @property
    def name(self) -> str:
        return f"n{len(self.nodes)}"

    def _behind(self, node: Node, *sources: Node) -> None:
        sources = sources or (self.last,)
        self.nodes.append(node)
        self.edges += [Edge(source=s.name, target=node.name) for s in sources]

    def add(self, kind: str, n_out: int) -> None:
        """Add what ``kind`` says and activations."""
        is_input = len(self.nodes) == 1
        channels, height, width = self.last.output_shape
        # of odd maps a mean leaves neurons out
        if kind == "mean" and not is_input and height % 2 == width % 2 == 0:
            self._behind(
                AvgPool2d(
                    name=self.name, kernel=(2, 2), stride=(2, 2),
                    shape=self.last.output_shape,
                )
            )  # fmt: skip
            self._convolve(n_out)
        elif kind == "residual" and not is_input:
            start = self.last
            self._convolve(channels)
            self.activation()
            self._convolve(channels)
            self._behind(
                Add(name=self.name, shape=start.output_shape), self.last, start
            )
        else:
            self._convolve(n_out)
        self.activation()

    def _convolve(self, n_out: int) -> None:
        shape = self.last.output_shape
        self._behind(
            Conv2d(
                name=self.name,
                weight=self._grid(-4, 6, (n_out, shape[0], 3, 3)),
                bias=self._bias(n_out),
                stride=(1, 1),
                padding=(1, 1),
                dilation=(1, 1),
                groups=1,
                shape=shape,
            )
        )

    def dense(self, n_out: int) -> None:
        """Add a linear layer."""
        (n_in,) = self.last.output_shape
        weight = self._grid(-4, 6, (n_out, n_in))
        weight *= self.rng.random(weight.shape) < 20 / max(n_in, 20)
        self._behind(Linear(name=self.name, weight=weight, bias=self._bias(n_out)))

    def flatten(self) -> None:
        """Add a flatten."""
        self._behind(Flatten(name=self.name, shape=self.last.output_shape))

    def activation(self) -> None:
        """Add activations."""
        step = GRID * int(self.rng.integers(2, 9))
        self._behind(
            Qcfs(
                name=self.name,
                shape=self.last.output_shape,
                threshold=step * self.levels,
                levels=self.levels,
            )
        )

    def _bias(self, n_out: int) -> Any:
        return self._grid(-8, 9, (n_out,)) * self.has_bias

    def _grid(self, low: int, high: int, shape: Shape) -> Any:
        return GRID * self.rng.integers(low, high, shape)


def n_values(graph: Graph) -> int:
    """Return how many activations an input has."""
    return sum(n_neurons(node.shape) for node in graph.nodes_of(Qcfs))

"""What the float graph computes: the yardstick for everything that is lost later."""

from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.ir.convolve import convolve
from snn_deploy.ir.graph import Functional, Graph
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Qcfs, Relu, Reset
from snn_deploy.ir.nodes import (
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Input,
    Linear,
    Node,
)
from snn_deploy.spikes import GRAY_LEVELS, Encoding, Stimulus


def evaluate(graph: Graph, stimuli: Sequence[Stimulus]) -> FloatArray:
    """Return the read-out z at every timestep of a batch, ``(n, n_timesteps, n_out)``.

    Every layer acts within one timestep, in ``float64``. The input of a graph with
    ``DIRECT`` encoding is the stimulus divided by 255.
    """
    run = _Run(graph)
    timesteps = range(1, graph.training.timesteps + 1)
    return np.stack(
        [run.step(np.stack([s.at(t) for s in stimuli])) for t in timesteps], axis=1
    )


def accumulate(z: FloatArray, functional: Functional) -> FloatArray:
    """Return Y from z, both ``(n, n_timesteps, n_out)``: what a decision at t sees."""
    match functional:
        case Functional.SUM:
            return np.cumsum(z, axis=1)
        case Functional.LAST:
            return z
        case Functional.MAX:
            return np.maximum.accumulate(z, axis=1)


class _Run:
    """The state of a batch in progress."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.current: dict[str, FloatArray] = {}
        self.voltage: dict[str, FloatArray] = {}
        self.sent: list[dict[str, FloatArray]] = []

    def step(self, values: FloatArray) -> FloatArray:
        """Advance one timestep; return the output layer's values, ``(n, n_out)``."""
        now: dict[str, FloatArray] = {}
        self.sent.append(now)
        for node in self.graph.order:
            if isinstance(node, Input):
                now[node.name] = self._input(values)
            else:
                total = self._arriving(node, len(values))
                now[node.name] = self._output(node, total)
        return now[self.graph.output.name].reshape(len(values), -1)

    def _input(self, values: FloatArray) -> FloatArray:
        training = self.graph.training
        unit = GRAY_LEVELS if training.encoding is Encoding.DIRECT else 1
        return values / unit * training.input_scale + training.input_offset

    def _arriving(self, node: Node, n: int) -> FloatArray:
        total = np.zeros((n, *node.input_shape))
        for edge in self.graph.edges_into(node):
            if edge.delay < len(self.sent):
                total = total + self.sent[-1 - edge.delay][edge.source]
        return total

    def _output(self, node: Node, x: FloatArray) -> FloatArray:
        match node:
            case Linear():
                return x @ node.weight.T + node.bias
            case Conv2d():
                return convolve(
                    x,
                    node.weight,
                    stride=node.stride,
                    padding=node.padding,
                    dilation=node.dilation,
                    groups=node.groups,
                ) + node.bias.reshape(len(node.weight), *node.bias.shape[1:] or (1, 1))
            case BatchNorm():
                return batch_norm(node, x)
            case AvgPool2d():
                return average(node, x)
            case Flatten() | Add():
                return x.reshape(len(x), *node.output_shape)
            case Qcfs() | Relu():
                return activation(node, x)
            case Lif() | Integrator():
                return self._neurons(node, x)
        raise AssertionError(f"{type(node).__name__} has no float meaning")

    def _neurons(self, node: Neuron, x: FloatArray) -> FloatArray:
        rest = np.broadcast_to(node.initial_voltage, x.shape)
        current = self.current.get(node.name, np.zeros_like(x))
        voltage = self.voltage.get(node.name, rest)
        current = current * (1 - node.current_decay) + node.input_gain * x
        voltage = voltage * (1 - node.voltage_decay) + current + node.bias
        self.current[node.name] = current
        if not isinstance(node, Lif):
            self.voltage[node.name] = voltage
            return voltage
        if node.comparison is Comparison.GREATER:
            spikes = voltage > node.threshold
        else:
            spikes = voltage >= node.threshold
        after = 0.0 if node.reset is Reset.HARD else voltage - node.reset_amount
        self.voltage[node.name] = np.where(spikes, after, voltage)
        return spikes * node.spike_value


def activation(node: Qcfs | Relu, x: FloatArray) -> FloatArray:
    """Return the activation of a conventional network."""
    if isinstance(node, Relu):
        return np.clip(x, 0, node.maximum)
    levels = np.floor(np.maximum(x, 0) * node.levels / node.threshold + 0.5)
    return node.threshold * np.minimum(levels / node.levels, 1)


def batch_norm(node: BatchNorm, x: FloatArray) -> FloatArray:
    """Return a batch ``(n, channel, ...)`` normalized."""
    gain = node.scale / np.sqrt(node.variance + node.epsilon)
    shift = node.shift - node.mean * gain
    axes = (-1,) + (1,) * (x.ndim - 2)
    normalized: FloatArray = x * gain.reshape(axes) + shift.reshape(axes)
    return normalized


def average(node: AvgPool2d, x: FloatArray) -> FloatArray:
    """Return the mean of each window of a batch ``(n, channel, height, width)``."""
    windows = np.lib.stride_tricks.sliding_window_view(x, node.kernel, axis=(2, 3))
    windows = windows[:, :, :: node.stride[0], :: node.stride[1]]
    mean: FloatArray = windows.mean(axis=(-2, -1))
    return mean

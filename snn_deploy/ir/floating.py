"""What the float graph computes: the yardstick for everything that is lost later."""

from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.ir.graph import Edge, Functional, Graph
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Qcfs, Relu, Reset
from snn_deploy.ir.nodes import (
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Node,
    Tebn,
)
from snn_deploy.ir.scatter import (
    Channels,
    ConvTranspose2d,
    Section,
    SparseLinear,
    Upsample2d,
)
from snn_deploy.ir.stimuli import Encoding, Stimulus


def evaluate(
    graph: Graph, stimuli: Sequence[Stimulus], n_timesteps: int | None = None
) -> FloatArray:
    """Return the read-out z at every timestep of a batch, ``(n, n_timesteps, n_out)``.

    Every layer acts within one timestep, in ``float64``. The input of a graph with
    ``DIRECT`` encoding is the stimulus divided by 255.
    """
    run = FloatRun(graph, stimuli)
    outputs = []
    for _ in range(n_timesteps or graph.training.timesteps):
        run.step()
        outputs.append(run.sent[-1][graph.output.name].reshape(len(stimuli), -1))
    return np.stack(outputs, axis=1)


def accumulate(z: FloatArray, functional: Functional) -> FloatArray:
    """Return Y from z, both ``(n, n_timesteps, n_out)``: what a decision at t sees."""
    match functional:
        case Functional.SUM:
            return np.cumsum(z, axis=1)
        case Functional.LAST:
            return z
        case Functional.MAX:
            return np.maximum.accumulate(z, axis=1)


class FloatRun:
    """A batch in progress.

    After each ``step``, ``sent`` holds the output of every layer at every timestep so
    far, newest last; ``current`` and ``voltage`` the states of the neurons.
    """

    def __init__(self, graph: Graph, stimuli: Sequence[Stimulus]) -> None:
        self.graph = graph
        self.stimuli = stimuli
        self.current: dict[str, FloatArray] = {}
        self.voltage: dict[str, FloatArray] = {}
        self.resting: dict[str, FloatArray] = {}
        self.sent: list[dict[str, FloatArray]] = []

    def step(self) -> None:
        """Advance one timestep."""
        now: dict[str, FloatArray] = {}
        self.sent.append(now)
        for node in self.graph.order:
            if isinstance(node, Input):
                now[node.name] = self._input()
            else:
                now[node.name] = self._output(node, self._arriving(node))

    def _input(self) -> FloatArray:
        training = self.graph.training
        values = np.stack([s.at(len(self.sent)) for s in self.stimuli])
        values = values.reshape(-1, *self.graph.input.shape)
        if training.encoding is Encoding.BIAS:  # what is scaled is the bias
            return values.astype(np.float64)
        shares = values / training.encoding.unit
        return shares * training.input_scale + training.input_offset

    def _arriving(self, node: Node) -> FloatArray:
        total = np.zeros((len(self.stimuli), *node.input_shape))
        for edge in self.graph.edges_into(node):
            total = total + self._sent(edge)
        return total

    def _sent(self, edge: Edge) -> FloatArray:
        """Return what arrives now over an edge."""
        source = self.graph.node(edge.source)
        late = source.axon_delay if isinstance(source, Lif | Input) else np.array(0.0)
        delays = np.broadcast_to(late + edge.delay, source.output_shape)
        arriving = np.zeros((len(self.stimuli), *source.output_shape))
        for delay in np.unique(delays).astype(int):
            if delay < len(self.sent):
                sent = self.sent[-1 - delay][edge.source]
                arriving = np.where(delays == delay, sent, arriving)
        return arriving

    def _output(self, node: Node, x: FloatArray) -> FloatArray:
        match node:
            case Linear() | Conv2d() | ConvTranspose2d() | SparseLinear():
                return weighted(node, x)
            case BatchNorm() | Tebn():
                return normalized(node, x, len(self.sent))
            case AvgPool2d() | MaxPool2d():
                return pooled(node, x)
            case Flatten() | Add() | Channels() | Section() | Upsample2d():
                return placed(node, x)
            case Qcfs() | Relu():
                return activation(node, x)
            case Lif() | Integrator():
                return self._neurons(node, x)
        raise AssertionError(f"{type(node).__name__} has no float meaning")

    def _neurons(self, node: Neuron, x: FloatArray) -> FloatArray:
        rest = np.broadcast_to(node.initial_voltage, x.shape)
        current = self.current.get(node.name, np.zeros_like(x))
        before = self.voltage.get(node.name, rest)
        current = current * (1 - node.current_decay) + node.input_gain * x
        voltage = before * (1 - node.voltage_decay) + current + self._bias(node)
        voltage = np.maximum(voltage, node.lowest_voltage)
        self.current[node.name] = current
        if not isinstance(node, Lif):
            self.voltage[node.name] = voltage
            return voltage
        resting = self.resting.get(node.name, np.zeros_like(x))
        voltage = np.where(resting > 0, before, voltage)
        spikes = self._spikes(node, voltage) * (resting == 0)
        after = (
            0.0
            if node.reset is Reset.HARD
            else np.maximum(voltage - spikes * node.reset_amount, node.lowest_voltage)
        )
        self.voltage[node.name] = np.where(spikes > 0, after, voltage)
        left = np.maximum(resting - 1, 0)
        self.resting[node.name] = np.where(spikes > 0, node.refractory, left)
        sent: FloatArray = spikes * node.spike_value
        return sent

    def _spikes(self, node: Lif, voltage: FloatArray) -> FloatArray:
        return n_spikes(node, voltage)

    def _bias(self, node: Neuron) -> FloatArray:
        biases = [s.bias for s in self.stimuli if s.bias is not None]
        if not biases or not node.takes_bias:
            return node.bias
        return np.stack(biases).reshape(-1, *node.shape).astype(np.float64)


def n_spikes(node: Lif, voltage: FloatArray) -> FloatArray:
    """Return how often neurons with these voltages spike in one timestep."""
    over = voltage - node.threshold
    if node.comparison is Comparison.GREATER:
        is_over, wanted = voltage > node.threshold, np.ceil(_times(node, over))
    else:
        is_over, wanted = voltage >= node.threshold, np.floor(_times(node, over)) + 1
    return np.where(is_over, np.clip(wanted, 1, node.max_spikes), 0.0)


def _times(node: Lif, voltage: FloatArray) -> FloatArray:
    """Return how often the reset amount fits in, where a neuron may spike so often."""
    return voltage / node.reset_amount if node.max_spikes > 1 else voltage


def activation(node: Qcfs | Relu, x: FloatArray) -> FloatArray:
    """Return the activation of a conventional network."""
    if isinstance(node, Relu):
        return np.clip(x, 0, node.maximum)
    levels = np.floor(np.maximum(x, 0) * node.levels / node.threshold + 0.5)
    return node.threshold * np.minimum(levels / node.levels, 1)


def normalized(node: BatchNorm | Tebn, x: FloatArray, timestep: int) -> FloatArray:
    """Return a batch ``(n, channel, ...)`` normalized as in ``timestep``, from 1 on."""
    if isinstance(node, Tebn):
        return node.factor(timestep) * batch_norm(node.norm, x)
    return batch_norm(node, x)


def batch_norm(node: BatchNorm, x: FloatArray) -> FloatArray:
    """Return a batch ``(n, channel, ...)`` normalized."""
    axes = (-1,) + (1,) * (x.ndim - 2)
    normalized: FloatArray = x * node.gain.reshape(axes) + node.offset.reshape(axes)
    return normalized


def weighted(
    node: Linear | Conv2d | ConvTranspose2d | SparseLinear, x: FloatArray
) -> FloatArray:
    """Return the weighted sums of a batch, and their bias."""
    match node:
        case Linear():
            sums = x @ node.weight.T
        case Conv2d():
            sums = node.convolve(x, node.weight)
        case ConvTranspose2d():
            sums = node.backward.transposed(x, node.weight, node.output_shape)
        case SparseLinear():
            flat = x.reshape(len(x), -1).T
            sums = np.asarray((node.matrix @ flat).T).reshape(-1, *node.onto)
    return np.asarray(sums + over_positions(node.bias, node), np.float64)


def placed(
    node: Flatten | Add | Channels | Section | Upsample2d, x: FloatArray
) -> FloatArray:
    """Return the values of a batch at their places in the output."""
    match node:
        case Upsample2d():
            return x.repeat(node.factor[0], axis=2).repeat(node.factor[1], axis=3)
        case Channels():
            whole = np.zeros((len(x), *node.output_shape))
            whole[:, node.first : node.first + node.shape[0]] = x
            return whole
        case Section():
            x = x[:, node.places]
    return x.reshape(len(x), *node.output_shape)


def over_positions(bias: FloatArray, node: Node) -> FloatArray:
    """Return one value for each channel, or neuron, to be added to the output."""
    rest = len(node.output_shape) - bias.ndim
    return bias.reshape(bias.shape + (1,) * rest)


def pooled(node: AvgPool2d | MaxPool2d, x: FloatArray) -> FloatArray:
    """Return the weighted sum, or the largest value, of each window of a batch."""
    rows, columns = node.padding
    margins = ((0, 0), (0, 0), (rows, rows), (columns, columns))
    outside = -np.inf if isinstance(node, MaxPool2d) else 0.0
    x = np.pad(x, margins, constant_values=outside)
    dilation = node.dilation
    span = tuple((k - 1) * d + 1 for k, d in zip(node.kernel, dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    windows = windows[:, :, :: node.stride[0], :: node.stride[1]]
    windows = windows[..., :: dilation[0], :: dilation[1]]
    if isinstance(node, MaxPool2d):
        return np.asarray(windows.max(axis=(-2, -1)))
    return np.asarray(windows.sum(axis=(-2, -1)) * node.weight)

"""Write NIR files, with what the format has no field for beside it.

A voltage that loses ``decay`` per timestep has the time constant ``dt / decay``. What
NIR has no field for stands in ``metadata``: ``dt``, the training's input and read-out,
each neuron's ``reset``, the ``reset_amount`` of a soft one if it is not the threshold,
the ``comparison`` if it is not ``>``, a ``lowest_voltage``, ``max_spikes`` over 1, and
which tools read the file so (``readers``; ``nir_readers`` says what they know). For one
of them it is written as that one means it, or refused.

Names hold letters, digits and underscores. Grouped convolutions are written with zeros
between the groups, since their readers take the number of input channels from the
weight; ``groups`` stands in the node's metadata.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.exporters.nir_readers import (
    NirReader,
    find_reader,
    reasons,
    shortened,
    spiking_as,
    who_reads,
)
from snn_deploy.files.writing import write_whole
from snn_deploy.ir.codec import encode
from snn_deploy.ir.graph import Delays, Edge, Graph, close_loops
from snn_deploy.ir.neurons import Comparison, Lif, Neuron, Reset
from snn_deploy.ir.nodes import Add, AvgPool2d, Conv2d, Flatten, Input, Linear, Node
from snn_deploy.names import free_name

if TYPE_CHECKING:
    import nir

DEFAULT_DT = 1e-4  # [s], the one that snnTorch takes whatever the file says


def write_nir(graph: Graph, path: Path, reader: str | None = None) -> tuple[str, ...]:
    """Write a float graph of weights, pooling and neurons to ``path``.

    Parameters
    ----------
    graph : Graph
    path : Path
    reader : str, optional
        Which of ``READERS`` the file is for.

    Returns
    -------
    tuple of str
        A line for the tool, or for each, that says how it reads the file.

    Raises
    ------
    ModelError
        If NIR cannot say what a layer computes, or the tool would compute something
        else.
    """
    import nir

    to = None if reader is None else find_reader(reader)
    network = in_common_form(graph, to)
    written = _Writer(network, to).graph()
    if to is None:
        notes = who_reads(written, is_on_grid=network.is_on_grid)
    else:
        why = reasons(to, written, is_on_grid=graph.is_on_grid)
        if why:
            raise ModelError(
                f"{path}: {to.title} would compute something else: {shortened(why)}; "
                "train what it has, or write the file without naming a reader"
            )
        call = to.call.format(dt=written.metadata["dt"])
        notes = (f"{to.title} reads it as it is meant: {call}",)
    written.metadata["readers"] = "\n".join(notes)
    write_whole(path, partial(_write, nir, written))
    return notes


def _write(nir: Any, graph: "nir.NIRGraph", path: Path) -> None:
    nir.write(str(path), graph)


class _Writer:
    """Turns one graph into nodes and edges of NIR."""

    def __init__(self, graph: Graph, reader: NirReader | None) -> None:
        self.source = graph
        known = reader.dt if reader is not None else None
        self.dt = known or graph.training.dt or DEFAULT_DT
        self.names = _plain_names(graph)
        self.nodes: dict[str, Any] = {}
        self.delayed: dict[str, str] = {}  # by layer: its axonal delays
        self.edges: list[tuple[str, str]] = []

    def graph(self) -> "nir.NIRGraph":
        import nir

        graph = self.source
        for node in graph.nodes:
            self.nodes[self.names[node.name]] = self._node(node)
        shape = np.array(graph.output.output_shape)
        self.nodes["output"] = nir.Output({"output": shape})
        for edge in graph.edges:
            self._edge(edge)
        self.edges.append((self._behind(graph.output), "output"))
        written = nir.NIRGraph(self.nodes, self.edges, type_check=False)
        written.metadata = self._metadata()
        return written

    def _metadata(self) -> dict[str, Any]:
        training = self.source.training
        return {
            "dt": self.dt,
            "timesteps": training.timesteps,
            "encoding": training.encoding.value,
            "input_scale": training.input_scale,
            "input_offset": training.input_offset,
            "functional": training.functional.value,
            "largest_count": training.largest_count,
            "input_low": training.input_low,
            "input_high": training.input_high,
            "is_on_grid": int(self.source.is_on_grid),
            "answers": training.answers,
            "heads": json.dumps(encode(training.heads, {})),
        }

    def _edge(self, edge: Edge) -> None:
        source, target = self._behind(self.source.node(edge.source)), edge.target
        late = edge.delay if self._needs_delays else 0
        if late:
            shape = self.source.node(edge.source).output_shape
            source = self._delay(
                f"{source}_to_{self.names[target]}", source, shape, late
            )
        self.edges.append((source, self.names[target]))

    @property
    def _needs_delays(self) -> bool:
        """Whether readers would not find the delays of the loops by themselves."""
        delays: Delays = {(e.source, e.target): e.delay for e in self.source.edges}
        weights = [
            node.name for node in self.source.nodes if isinstance(node, Linear | Conv2d)
        ]
        none = dict.fromkeys(delays, 0)
        return close_loops(none, self.source.input.name, weights) != delays

    def _behind(self, node: Node) -> str:
        """Return what stands for a node's output: its axonal delays, if it has some."""
        name = self.names[node.name]
        late = node.axon_delay if isinstance(node, Lif | Input) else np.zeros(())
        if not np.any(late):
            return name
        if name not in self.delayed:
            self.delayed[name] = self._delay(
                f"{name}_axons", name, node.output_shape, late
            )
        return self.delayed[name]

    def _delay(self, name: str, source: str, shape: Any, steps: Any) -> str:
        import nir

        name = free_name(name, {*self.nodes, *self.names.values(), "output"})
        delay = np.array(np.broadcast_to(np.asarray(steps, float), shape)) * self.dt
        self.nodes[name] = nir.Delay(delay=delay)
        self.edges.append((source, name))
        return name

    def _node(self, node: Node) -> Any:
        import nir

        match node:
            case Input():
                return nir.Input({"input": np.array(node.shape)})
            case Linear():
                return nir.Affine(weight=_stored(node.weight), bias=_stored(node.bias))
            case Conv2d():
                return _convolution(node)
            case AvgPool2d():
                kind = nir.SumPool2d if node.is_sum else nir.AvgPool2d
                sizes = (node.kernel, node.stride, node.padding)
                return kind(*(np.array(size) for size in sizes))
            case Flatten():  # readers disagree on the batch; from the end they agree
                shape = {"input": np.array(node.shape)}
                return nir.Flatten(shape, start_dim=-len(node.shape), end_dim=-1)
            case Neuron():
                return _neurons(node, self.dt)
        raise ModelError(
            f"{node.name}: NIR has no {type(node).__name__}; write the compiled "
            "network as .onnx, which has single weights, or the model as .pt"
        )


def _plain_names(graph: Graph) -> dict[str, str]:
    """Return a name for each layer that no reader has to change."""
    names: dict[str, str] = {}
    for node in graph.nodes:
        plain = re.sub(r"\W", "_", node.name, flags=re.ASCII) or "layer"
        while plain in names.values() or plain == "output":
            plain += "_"
        names[node.name] = plain
    return names


def _stored(values: AnyArray) -> AnyArray:
    """Return the values in the smaller float type, if it holds them exactly."""
    small = values.astype(np.float32)
    return (
        small if np.array_equal(small.astype(np.float64), values) else np.array(values)
    )


def _convolution(node: Conv2d) -> Any:
    import nir

    bias = node.bias.reshape(len(node.weight), -1)
    if np.any(bias != bias[:, :1]):
        raise ModelError(
            f"{node.name}: a bias for each position, NIR has one for each channel; "
            "export the model before its input offset is folded"
        )
    weight, dilation = node.uncropped(_without_groups(node))
    found = nir.Conv2d(
        input_shape=tuple(node.shape[1:]),
        weight=_stored(weight),
        stride=node.stride,
        padding=node.padding,
        dilation=dilation,
        groups=1,
        bias=_stored(bias[:, 0]),
    )
    if node.groups > 1:
        found.metadata = {"groups": node.groups}
    return found


def _without_groups(node: Conv2d) -> FloatArray:
    """Return the weights ``(out_channel, in_channel, ...)``, zero between groups."""
    n_out, n_in = node.weight.shape[:2]
    weight: FloatArray = np.zeros((n_out, node.shape[0], *node.weight.shape[2:]))
    for row in range(n_out):
        first = row // (n_out // node.groups) * n_in
        weight[row, first : first + n_in] = node.weight[row]
    return weight


def _neurons(node: Neuron, dt: float) -> Any:
    """Return the differential equation whose Euler steps these neurons do."""
    import nir

    _check(node)
    name = "LIF" if isinstance(node, Lif) else "LI"
    has_current = bool(np.any(node.current_decay != 1))
    has_leak = bool(np.any(node.voltage_decay != 0))
    decay, gain = node.voltage_decay, node.input_gain
    values: dict[str, FloatArray] = {}
    if has_current:
        name = f"Cuba{name}"
        values = {"tau_mem": dt / decay, "tau_syn": dt / node.current_decay}
        values |= {"r": 1 / decay, "w_in": gain / node.current_decay}
    elif has_leak:
        values = {"tau": dt / decay, "r": gain / decay}
    else:
        name = "IF" if isinstance(node, Lif) else "I"
        values = {"r": gain / dt}
    if has_leak:
        values["v_leak"] = node.bias / decay
    if isinstance(node, Lif):
        values |= {"v_threshold": node.threshold, "v_reset": np.zeros(())}
    full = {key: np.broadcast_to(value, node.shape) for key, value in values.items()}
    found = getattr(nir, name)(**{key: _stored(value) for key, value in full.items()})
    if isinstance(node, Lif):
        found.metadata = _spiking_metadata(node)
    return found


def _spiking_metadata(node: Lif) -> dict[str, Any]:
    noted: dict[str, Any] = {"reset": node.reset.value}
    if node.comparison is not Comparison.GREATER:
        noted["comparison"] = node.comparison.value
    amount = np.broadcast_to(node.reset_amount, node.shape)
    if node.reset is Reset.SOFT and np.any(amount != node.threshold):
        noted["reset_amount"] = np.array(amount)
    if node.has_lowest_voltage:
        lowest = np.broadcast_to(node.lowest_voltage, node.shape)
        noted["lowest_voltage"] = np.array(lowest)
    if node.max_spikes > 1:
        noted["max_spikes"] = node.max_spikes
    return noted


def _check(node: Neuron) -> None:
    """Raise an error if NIR has no field for a parameter."""
    for problem in _problems(node):
        raise ModelError(
            f"{node.name}: {problem}, which NIR cannot say; export to another format"
        )


def _problems(node: Neuron) -> Iterator[str]:
    has_leak = np.any(node.voltage_decay != 0)
    if np.any(node.current_decay == 0):
        yield "a current that does not decay"
    if np.any(node.voltage_decay == 0) and (
        has_leak or np.any(node.current_decay != 1)
    ):
        yield "a voltage without a leak beside one with, or behind a current"
    if not rests_where_it_starts(node) or (
        not has_leak and np.any(node.initial_voltage != 0)
    ):
        yield "a voltage that starts where it does not rest, or a bias"
    if node.has_lowest_voltage and not isinstance(node, Lif):
        yield f"a lowest voltage of {node.lowest_voltage.max():g}"
    if node.takes_bias:
        yield "a bias that comes with the data"
    if isinstance(node, Lif):
        yield from _spiking_problems(node)


def _spiking_problems(node: Lif) -> Iterator[str]:
    if node.refractory:
        yield f"a refractory period of {node.refractory} timesteps"
    if node.spike_value != 1:
        yield f"spikes worth {node.spike_value:g}"


Weights = Linear | Conv2d


def in_common_form(graph: Graph, reader: NirReader | None = None) -> Graph:
    """Return the same function with ``Add``, gains and means moved elsewhere.

    For a reader also thresholds, where it takes one for a layer, and comparisons.

    Raises
    ------
    ModelError
        If a sum cannot be an edge.
    """
    for add in graph.nodes_of(Add):
        graph = _without(graph, add)
    for pool in graph.nodes_of(AvgPool2d):
        graph = _as_sum(graph, pool)
    if reader is not None and reader.one_threshold:
        for spiking in graph.nodes_of(Lif):
            graph = _with_one_threshold(graph, spiking)
    for node in graph.nodes_of(Neuron):
        graph = _with_unit_gain(
            graph, node, is_whole=reader is not None and reader.counts_whole
        )
    return graph if reader is None else spiking_as(graph, reader.comparison)


def _without(graph: Graph, add: Add) -> Graph:
    """Return the graph with the terms of a sum leading to where it leads."""
    before = graph.edges_into(add)
    behind = [edge for edge in graph.edges if edge.source == add.name]
    if not behind or add is graph.output:
        raise ModelError(
            f"{add.name}: the sum is the output, which NIR has no node for; end the "
            "network with neurons or one weight layer"
        )
    edges = [edge for edge in graph.edges if add.name not in (edge.source, edge.target)]
    edges += [
        Edge(source=a.source, target=b.target, delay=a.delay + b.delay)
        for a in before
        for b in behind
    ]
    pairs = [(edge.source, edge.target) for edge in edges]
    for pair in pairs:
        if pairs.count(pair) > 1:
            raise ModelError(
                f"{add.name}: {pair[1]} receives {pair[0]} twice, NIR has one edge "
                "between two nodes; put a layer on one of the ways"
            )
    nodes = tuple(node for node in graph.nodes if node is not add)
    return replace(graph, nodes=nodes, edges=tuple(edges))


def _as_sum(graph: Graph, pool: AvgPool2d) -> Graph:
    """Return the graph with the mean of a pooling moved into the weights behind."""
    layers = _weights_behind(graph, pool)
    if pool.is_sum or layers is None or pool is graph.output:
        return graph
    for layer in layers:
        graph = graph.replace(layer, replace(layer, weight=layer.weight * pool.weight))
    return graph.replace(pool, replace(pool, is_sum=True))


def _weights_behind(graph: Graph, node: Node) -> list[Weights] | None:
    """Return the weight layers that take all of a node's output, if only they do."""
    found: list[Weights] = []
    for target in graph.targets(node):
        if isinstance(target, Flatten):
            behind = _weights_behind(graph, target)
            if behind is None:
                return None
            found += behind
        elif isinstance(target, Linear | Conv2d) and len(graph.sources(target)) == 1:
            found.append(target)
        else:
            return None
    return found or None


def _with_one_threshold(graph: Graph, node: Lif) -> Graph:
    """Return the graph with a threshold of 1, if those of channels differ."""
    layers, threshold = _weights_before(graph, node), _rows(node.threshold, node)
    if layers is None or threshold is None or np.all(threshold == threshold[0]):
        return graph
    graph = _with_rows_times(graph, layers, 1 / threshold)
    by = replace(
        node,
        threshold=np.ones(()),
        **{
            name: getattr(node, name) / node.threshold
            for name in ("reset_amount", "bias", "initial_voltage", "lowest_voltage")
        },
    )
    return replace(graph.replace(node, by), is_on_grid=False)


def _with_unit_gain(graph: Graph, node: Neuron, *, is_whole: bool) -> Graph:
    """Return the graph with gain and bias of neurons moved into the weights before."""
    layers = _weights_before(graph, node)
    unit = np.ones(()) if is_whole else _unit_gain(node)
    factor = _rows(node.input_gain / unit, node)
    if layers is None or factor is None:
        return graph
    graph = _with_rows_times(graph, layers, factor)
    graph = graph.replace(node, replace(node, input_gain=unit))
    first = graph.node(layers[0].name)
    assert isinstance(first, Linear | Conv2d)
    return _with_bias_in(graph, first, node)


def _with_rows_times(graph: Graph, layers: list[Weights], factor: FloatArray) -> Graph:
    """Return the graph with a factor for each channel of what layers give."""
    for layer in layers:
        rows = factor.reshape(-1, *(1,) * (layer.weight.ndim - 1))
        bias = layer.bias * factor.reshape(-1, *(1,) * (layer.bias.ndim - 1))
        scaled = replace(layer, weight=layer.weight * rows, bias=bias)
        graph = graph.replace(layer, scaled)
    return graph


def _with_bias_in(graph: Graph, layer: Weights, old: Neuron) -> Graph:
    """Return the graph with the bias of neurons without a current in a layer's."""
    node = graph.node(old.name)
    assert isinstance(node, Neuron)
    bias = _rows(node.bias / node.input_gain, node)
    has_current = np.any(node.current_decay != 1)
    if not np.any(node.bias) or has_current or rests_where_it_starts(node):
        return graph
    if bias is None or any(e.delay for e in graph.edges_into(node)):
        return graph
    added = layer.bias + bias.reshape(-1, *(1,) * (layer.bias.ndim - 1))
    graph = graph.replace(layer, replace(layer, bias=added))
    return graph.replace(node, replace(node, bias=np.zeros(())))


def _unit_gain(node: Neuron) -> FloatArray:
    """Return the gain of an input that counts as it is: of a voltage, or a current."""
    has_current = np.any(node.current_decay != 1)
    if has_current or np.all(node.voltage_decay == 0):
        return np.ones(())
    return node.voltage_decay


def rests_where_it_starts(node: Neuron) -> bool:
    """Return whether the voltage, without input, stays at its initial value."""
    rest = node.initial_voltage * node.voltage_decay
    return bool(np.allclose(rest, node.bias, rtol=1e-12, atol=0))


def _weights_before(graph: Graph, node: Neuron) -> list[Weights] | None:
    """Return the weight layers that feed a node and nothing else, if only they do."""
    found: list[Weights] = []
    for source in graph.sources(node):
        if not isinstance(source, Linear | Conv2d) or len(graph.targets(source)) != 1:
            return None
        found.append(source)
    return found or None


def _rows(values: FloatArray, node: Node) -> FloatArray | None:
    """Return one value for each channel, if the positions of a channel agree."""
    channels = node.output_shape[0]
    each = np.broadcast_to(values, node.output_shape).reshape(channels, -1)
    return np.array(each[:, 0]) if np.all(each == each[:, :1]) else None

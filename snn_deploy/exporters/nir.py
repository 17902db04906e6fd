"""Write NIR files, with what the format has no field for beside it.

A voltage that loses ``decay`` per timestep has the time constant ``dt / decay``. What
NIR has no field for stands in ``metadata``: ``dt``, the training's input and read-out,
each neuron's ``reset``, the ``reset_amount`` of a soft one if it is not the threshold,
the ``comparison`` if it is not ``>``, a ``lowest_voltage``, ``max_spikes`` over 1, and
which tools read the file so (``readers``; ``nir_readers`` says what they know). For one
of them it is written as that one means it, or refused.

Several inputs are several nodes. Names hold letters, digits and underscores. Grouped
convolutions are written with zeros between the groups, since their readers take the
number of input channels from the weight; ``groups`` stands in the node's metadata.
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
from snn_deploy.exporters.nir_form import in_common_form, rests_where_it_starts
from snn_deploy.exporters.nir_readers import (
    NirReader,
    find_reader,
    reasons,
    refusal,
    who_reads,
)
from snn_deploy.files.writing import write_whole
from snn_deploy.ir.codec import encode
from snn_deploy.ir.graph import Delays, Edge, Graph, close_loops
from snn_deploy.ir.inputs import NamedInput, with_places
from snn_deploy.ir.neurons import Comparison, Lif, Neuron, Reset
from snn_deploy.ir.nodes import AvgPool2d, Conv2d, Flatten, Input, Linear, Node
from snn_deploy.ir.scatter import Section
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
            told = refusal(to, why, is_on_grid=graph.is_on_grid)
            raise ModelError(f"{path}: {told}")
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
        self.starts = _starts(graph)
        self.names = _plain_names(graph, self.starts)
        self.nodes: dict[str, Any] = {}
        self.delayed: dict[str, str] = {}  # by layer: its axonal delays
        self.edges: list[tuple[str, str]] = []

    def graph(self) -> "nir.NIRGraph":
        import nir

        graph = self.source
        for node in graph.nodes:
            if not self._is_row(node.name):
                self.nodes[self.names[node.name]] = self._node(node)
        shape = np.array(graph.output.output_shape)
        self.nodes["output"] = nir.Output({"output": shape})
        for edge in graph.edges:
            if not self._is_row(edge.source):
                self._edge(edge)
        self.edges.append((self._behind(graph.output), "output"))
        written = nir.NIRGraph(self.nodes, self.edges, type_check=False)
        written.metadata = self._metadata()
        return written

    def _is_row(self, name: str) -> bool:
        """Whether a layer is the input that several lie in, which are nodes."""
        return bool(self.starts) and name == self.source.input.name

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
            "inputs": json.dumps(encode(self._inputs(), {})),
        }

    def _inputs(self) -> tuple[NamedInput, ...]:
        """Return several inputs, by the names of their nodes."""
        names = {given: self.names[node] for node, given in self.starts.items()}
        inputs = self.source.training.inputs
        return tuple(replace(g, name=names.get(g, g.name)) for g in inputs)

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
        starts = self.starts or [self.source.input.name]
        return close_loops(none, starts, weights) != delays

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
            case Section() if node.name in self.starts:
                return nir.Input({"input": np.array(node.onto)})
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
        raise self._refusal(node)

    def _refusal(self, node: Node) -> ModelError:
        if isinstance(node, Section) and self.source.training.inputs:
            return ModelError(
                f"{node.name}: what Input nodes of NIR give is not scaled; write "
                "input_scale, input_offset and input_range of each input into forward, "
                "for data from 0 to 1"
            )
        return ModelError(
            f"{node.name}: NIR has no {type(node).__name__}; write the compiled "
            "network as .onnx, which has single weights, or the model as .pt"
        )


def _starts(graph: Graph) -> dict[str, NamedInput]:
    """Return the layers that are inputs of their own, where the input is several."""
    targets, start = graph.targets(graph.input), graph.input
    if np.any(start.axon_delay) or not all(isinstance(n, Section) for n in targets):
        return {}
    places = {p.start: given for given, p in with_places(graph.training.inputs)}
    return {
        node.name: places[node.first]
        for node in targets
        if isinstance(node, Section) and node.first in places
    }


def _plain_names(graph: Graph, starts: dict[str, NamedInput]) -> dict[str, str]:
    """Return a name for each layer that no reader has to change.

    Those of inputs come first, since data have them.
    """
    names: dict[str, str] = {}
    for node in sorted(graph.nodes, key=lambda node: node.name not in starts):
        mine = starts[node.name].name if node.name in starts else node.name
        plain = re.sub(r"\W", "_", mine, flags=re.ASCII) or "layer"
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
            f"{node.name}: {problem}, which NIR cannot say; write the network as .onnx"
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

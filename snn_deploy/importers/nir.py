"""Read NIR files: the exchange format of many frameworks and chips.

NIR's neurons are differential equations; ``dt`` turns them into one forward Euler step
per timestep. LIF: ``tau dv/dt = v_leak - v + r i``, so the voltage loses ``dt / tau``
and the input counts ``r dt / tau``. CubaLIF: its current is a second such equation,
with gain ``w_in``. IF: ``dv/dt = r i``, which counts ``r dt``. A spike needs
``v > v_threshold``; the reset is hard, to 0: NIR does not record another. A leak or a
reset to anything but 0 is refused, and so is every primitive not named here. An edge
that closes a loop takes one timestep.
"""

from functools import singledispatch
from pathlib import Path
from typing import Any

import networkx as nx
import nir
import numpy as np

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Reset
from snn_deploy.ir.nodes import Conv2d, Flatten, Input, Linear, Node
from snn_deploy.spikes import Encoding

DEFAULT_DT = 1e-4  # NIR's own default [s]
DEFAULT_TIMESTEPS = 100  # NIR records none


def read_nir(
    path: Path, *, dt: float = DEFAULT_DT, timesteps: int = DEFAULT_TIMESTEPS
) -> Graph:
    """Return the network in the NIR file at ``path``.

    Parameters
    ----------
    path : Path
    dt : float
        Length of a timestep [s]; the file does not say.
    timesteps : int
        For how many timesteps an input is shown; the file does not say.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or a primitive or a parameter has no
        counterpart.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    try:
        model = nir.read(path)
    except Exception as error:  # h5py and nir raise almost anything
        raise ModelError(
            f"{path}: not a NIR file, or damaged ({type(error).__name__}: {error}); "
            "write it again with nir.write"
        ) from error
    outputs = [n for n, item in model.nodes.items() if isinstance(item, nir.Output)]
    ends = [source for source, target in model.edges if target in outputs]
    if len(ends) != 1:
        raise ModelError(f"{path}: {len(ends)} layers feed the output; needed is 1")
    nodes = tuple(
        _convert(item, name, dt)
        for name, item in model.nodes.items()
        if name not in outputs
    )
    edges = [(a, b) for a, b in model.edges if b not in outputs]
    return Graph(
        name=path.stem,
        nodes=nodes,
        edges=tuple(
            Edge(source=a, target=b, delay=int((a, b) in _backward(edges)))
            for a, b in edges
        ),
        training=Training(timesteps=timesteps, encoding=Encoding.EVENTS, dt=dt),
        output_name=ends[0],
    )


def _backward(edges: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the edges that close a loop, seen from where nothing leads to."""
    graph: nx.DiGraph[str] = nx.DiGraph(edges)
    found: set[tuple[str, str]] = set()
    for start in [node for node in graph if graph.in_degree(node) == 0]:
        tree = nx.dfs_tree(graph, start)
        above = {node: {node, *nx.ancestors(tree, node)} for node in tree}
        found |= {(a, b) for a, b in edges if a in tree and b in above[a]}
    return found


@singledispatch
def _convert(primitive: object, name: str, dt: float) -> Node:
    kind = type(primitive).__name__
    raise ModelError(
        f"{name}: NIR's {kind} cannot be deployed; use Input, Affine, Linear, Conv2d, "
        "Flatten, LIF, CubaLIF, IF, LI or CubaLI"
    )


@_convert.register
def _input(primitive: nir.Input, name: str, dt: float) -> Node:
    return Input(name=name, shape=_shape(primitive.input_type["input"]))


@_convert.register
def _affine(primitive: nir.Affine, name: str, dt: float) -> Node:
    weight = np.atleast_2d(np.asarray(primitive.weight, np.float64))
    return Linear(name=name, weight=weight, bias=np.asarray(primitive.bias).reshape(-1))


@_convert.register
def _linear(primitive: nir.Linear, name: str, dt: float) -> Node:
    weight = np.atleast_2d(np.asarray(primitive.weight, np.float64))
    return Linear(name=name, weight=weight, bias=np.zeros(len(weight)))


@_convert.register
def _conv2d(primitive: nir.Conv2d, name: str, dt: float) -> Node:
    weight = np.asarray(primitive.weight, np.float64)
    if primitive.input_shape is None or isinstance(primitive.padding, str):
        raise ModelError(
            f"{name}: input_shape is {primitive.input_shape}, padding "
            f"{primitive.padding!r}; give both as numbers"
        )
    height, width = (int(n) for n in primitive.input_shape)
    channels = weight.shape[1] * int(primitive.groups)
    return Conv2d(
        name=name,
        weight=weight,
        bias=np.asarray(primitive.bias, np.float64).reshape(-1),
        stride=_pair(primitive.stride),
        padding=_pair(primitive.padding),
        dilation=_pair(primitive.dilation),
        groups=int(primitive.groups),
        shape=(channels, height, width),
    )


@_convert.register
def _flatten(primitive: nir.Flatten, name: str, dt: float) -> Node:
    return Flatten(name=name, shape=_shape(primitive.input_type["input"]))


@_convert.register
def _lif(primitive: nir.LIF, name: str, dt: float) -> Node:
    decay = dt / _per_channel(primitive.tau)
    gain = _per_channel(primitive.r) * decay
    return _spiking(primitive, name, np.array(1.0), decay, gain)


@_convert.register
def _cuba_lif(primitive: nir.CubaLIF, name: str, dt: float) -> Node:
    current_decay = dt / _per_channel(primitive.tau_syn)
    decay = dt / _per_channel(primitive.tau_mem)
    gain = _per_channel(primitive.r) * decay
    gain = gain * _per_channel(primitive.w_in) * current_decay
    return _spiking(primitive, name, current_decay, decay, gain)


@_convert.register
def _integrate_and_fire(primitive: nir.IF, name: str, dt: float) -> Node:
    gain = _per_channel(primitive.r) * dt
    return _spiking(primitive, name, np.array(1.0), np.array(0.0), gain)


@_convert.register
def _leaky_integrator(primitive: nir.LI, name: str, dt: float) -> Node:
    _needs_zero(primitive, name, "v_leak")
    decay = dt / _per_channel(primitive.tau)
    gain = _per_channel(primitive.r) * decay
    return _integrating(primitive, name, np.array(1.0), decay, gain)


@_convert.register
def _cuba_integrator(primitive: nir.CubaLI, name: str, dt: float) -> Node:
    _needs_zero(primitive, name, "v_leak")
    current_decay = dt / _per_channel(primitive.tau_syn)
    decay = dt / _per_channel(primitive.tau_mem)
    gain = _per_channel(primitive.r) * decay
    gain = gain * _per_channel(primitive.w_in) * current_decay
    return _integrating(primitive, name, current_decay, decay, gain)


def _spiking(
    primitive: Any,
    name: str,
    current_decay: FloatArray,
    decay: FloatArray,
    gain: FloatArray,
) -> Lif:
    _needs_zero(primitive, name, "v_leak")
    _needs_zero(primitive, name, "v_reset")
    threshold = _per_channel(primitive.v_threshold)
    return Lif(
        name=name,
        shape=_shape(np.shape(primitive.v_threshold)),
        current_decay=current_decay,
        voltage_decay=decay,
        input_gain=gain,
        bias=np.array(0.0),
        initial_voltage=np.array(0.0),
        threshold=threshold,
        reset=Reset.HARD,
        reset_amount=threshold,
        comparison=Comparison.GREATER,
        spike_value=1.0,
    )


def _integrating(
    primitive: Any,
    name: str,
    current_decay: FloatArray,
    decay: FloatArray,
    gain: FloatArray,
) -> Integrator:
    return Integrator(
        name=name,
        shape=_shape(np.shape(primitive.r)),
        current_decay=current_decay,
        voltage_decay=decay,
        input_gain=gain,
        bias=np.array(0.0),
        initial_voltage=np.array(0.0),
    )


def _per_channel(values: Any) -> FloatArray:
    return np.asarray(values, np.float64)


def _needs_zero(primitive: Any, name: str, parameter: str) -> None:
    values = getattr(primitive, parameter, None)
    if values is not None and np.any(np.asarray(values) != 0):
        raise ModelError(
            f"{name}: {parameter} is {np.ravel(values)[np.flatnonzero(values)[0]]:g}, "
            "only 0 can be deployed; shift the voltages so that it is 0"
        )


def _shape(shape: Any) -> Shape:
    return tuple(int(n) for n in np.ravel(shape)) or (1,)


def _pair(value: Any) -> tuple[int, int]:
    pair = np.broadcast_to(np.ravel(np.asarray(value, int)), 2)
    return int(pair[0]), int(pair[1])

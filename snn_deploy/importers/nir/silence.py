"""Say so where no neuron of a layer can spike: mostly a timestep of another length."""

import logging
from pathlib import Path

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.importers.nir.file import Primitive, Primitives
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.nodes import AvgPool2d, Conv2d, Flatten, Input, Linear, Node

logger = logging.getLogger(__name__)
PLAUSIBLE = 10  # timesteps of the shortest time constant
LARGE = 1.5  # a gain that stands for a time constant in timesteps


def note_silence(path: Path, network: Primitives, graph: Graph) -> None:
    """Log which layers cannot spike, whatever comes in, and a ``dt`` that may be right.

    The most that a voltage can reach is with all senders spiking whose weights are over
    0, at every timestep.
    """
    silent = [node.name for node in graph.nodes_of(Lif) if _is_silent(graph, node)]
    if not silent:
        return
    dt = _plausible(network)
    then = (
        f"; {dt:.3g} s would suit its time constants: try --dt {dt:.1g}" if dt else ""
    )
    logger.warning(
        f"{path}: no neuron of {', '.join(silent)} can spike within "
        f"{graph.training.timesteps} timesteps of {graph.training.dt:g} s, whatever "
        f"comes in{then}"
    )


def _is_silent(graph: Graph, node: Lif) -> bool:
    most: FloatArray = np.zeros(())
    for source in graph.sources(node):
        most = most + _largest(graph, source)
    n = graph.training.timesteps
    current = np.maximum(most, 0) * node.input_gain * _added(node.current_decay, n)
    reached = (current + np.maximum(node.bias, 0)) * _added(node.voltage_decay, n)
    reached = reached + np.maximum(node.initial_voltage, 0)
    return bool(np.all(reached <= node.threshold))


def _added(decay: FloatArray, n: int) -> FloatArray:
    """Return the sum of what is left of 1 from each of the last ``n`` timesteps."""
    least = np.maximum(decay, 1e-12)
    return np.asarray(-np.expm1(n * np.log1p(-np.minimum(least, 1 - 1e-12))) / least)


def _largest(graph: Graph, node: Node) -> FloatArray:
    """Return the most that a layer can give, one number or one for each channel."""
    match node:
        case Input():
            training = graph.training
            scale = abs(training.input_scale) * training.largest_count
            return np.array(scale + abs(training.input_offset))
        case Lif():
            return np.array(node.spike_value * node.max_spikes)
        case Linear() | Conv2d():
            before = sum(float(_largest(graph, s).max()) for s in graph.sources(node))
            weight = np.maximum(node.weight, 0).reshape(len(node.weight), -1)
            bias = node.bias.reshape(len(node.weight), -1).max(axis=1)
            along = (-1, *(1,) * (len(node.output_shape) - 1))
            return np.asarray((weight.sum(axis=1) * before + bias).reshape(along))
        case Flatten() | AvgPool2d():
            area = np.prod(node.kernel) if isinstance(node, AvgPool2d) else 1
            times = area if isinstance(node, AvgPool2d) and node.is_sum else 1
            before = sum(float(_largest(graph, s).max()) for s in graph.sources(node))
            return np.array(before * times)
    return np.array(np.inf)


def _plausible(network: Primitives) -> float | None:
    """Return a length of a timestep that the time constants of a file may be meant for.

    Many tools write a gain that is a time constant in timesteps.
    """
    shortest = [s for p in network.nodes.values() if (s := _steps_of(p)) is not None]
    return min(shortest, default=None)


def _steps_of(primitive: Primitive) -> float | None:
    kind = primitive.kind
    if kind == "IF":
        return float(1 / primitive.array("r").max())
    if kind not in ("LIF", "CubaLIF"):
        return None
    tau = primitive.array("tau" if kind == "LIF" else "tau_syn").reshape(-1)
    gain = primitive.array("r" if kind == "LIF" else "w_in", 1.0).reshape(-1)
    if np.all(gain > LARGE):
        return float(np.min(tau / gain if gain.size in (1, tau.size) else tau))
    return float(tau.min()) / PLAUSIBLE

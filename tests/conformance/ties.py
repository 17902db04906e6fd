"""Explain every spike in which a framework in single precision differs from us.

Our float graph computes in double precision. It runs beside the framework and is given
the framework's spikes: what arrives and what resets is the same in both, so a neuron
can decide otherwise only by rounding. How far single precision can have carried its
voltage by then is bounded as numerical analysis does [1]_: a sum of n products is off
by less than ``n * u * sum |w x|``, every further operation by ``u`` of its result, and
the state hands on what it keeps. A difference within that bound of the threshold is a
tie; any other is an error of the importer.

References
----------
.. [1] N. Higham, "Accuracy and Stability of Numerical Algorithms", SIAM 2002, 3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif, Neuron
from snn_deploy.ir.nodes import BatchNorm, Conv2d, Linear, Node
from snn_deploy.ir.stimuli import Stimulus

UNIT = 2.0**-24  # rounding of single precision, relative
OPERATIONS = 16  # more than any framework needs to update a neuron
Trains = dict[str, FloatArray]  # what each layer of neurons sent, (n, n_timesteps, ...)


@dataclass
class Comparison:
    """What came of comparing a network."""

    spikes: int = 0  # neurons and timesteps compared
    ties: int = 0
    farthest: float = 0.0  # of a tie from the threshold, in thresholds
    errors: list[str] = field(default_factory=list)  # differences that are no ties


def compare(graph: Graph, stimuli: Sequence[Stimulus], theirs: Trains) -> Comparison:
    """Return the differences from what a framework's neurons sent."""
    found = Comparison()
    sums = _Given(_absolute(graph), stimuli, theirs)
    ours = _Compared(graph, stimuli, theirs, sums, found)
    for _ in range(graph.training.timesteps):
        sums.step()
        ours.step()
    return found


class _Given(FloatRun):
    """A run in which neurons send what they sent in the framework."""

    def __init__(
        self, graph: Graph, stimuli: Sequence[Stimulus], theirs: Trains
    ) -> None:
        super().__init__(graph, stimuli)
        self.theirs = theirs
        self.arrived: dict[str, FloatArray] = {}  # at each neuron, now

    def _neurons(self, node: Neuron, x: FloatArray) -> FloatArray:
        self.arrived[node.name] = x
        return super()._neurons(node, x)

    def _spikes(self, node: Lif, voltage: FloatArray) -> FloatArray:
        sent = self.theirs[node.name][:, len(self.sent) - 1]
        given: FloatArray = np.rint(sent.reshape(voltage.shape) / node.spike_value)
        return given


class _Compared(_Given):
    """The same with the true weights, which looks at what each neuron would send."""

    def __init__(
        self,
        graph: Graph,
        stimuli: Sequence[Stimulus],
        theirs: Trains,
        sums: _Given,
        found: Comparison,
    ) -> None:
        super().__init__(graph, stimuli, theirs)
        self.sums, self.found = sums, found
        self.current_error: dict[str, FloatArray] = {}
        self.voltage_error: dict[str, FloatArray] = {}
        n_terms = [1, *(layer[0].size + 2 for layer in _weights(graph))]
        self.roundings = (max(n_terms) + OPERATIONS) * UNIT

    def _spikes(self, node: Lif, voltage: FloatArray) -> FloatArray:
        error = self._error(node, voltage)
        mine = FloatRun._spikes(self, node, voltage)
        given = super()._spikes(node, voltage)
        is_free = self.resting.get(node.name, np.zeros_like(voltage)) == 0
        differs = (mine != given) & is_free
        # the voltage at which the larger of the two numbers of spikes begins
        steps = np.maximum(mine, given) - 1
        edge = node.threshold + steps * node.reset_amount
        distance = np.abs(voltage - edge)
        is_tie = differs & (distance <= error) & (np.abs(mine - given) == 1)
        self.found.spikes += voltage.size
        self.found.ties += int(is_tie.sum())
        relative = np.broadcast_to(distance / node.threshold, voltage.shape)
        self.found.farthest = max(
            self.found.farthest, float(relative[is_tie].max(initial=0))
        )
        for place in np.argwhere(differs & ~is_tie):
            at = tuple(map(int, place))
            self.found.errors.append(
                f"{node.name}{at}, timestep {len(self.sent)}: {given[at]:g} spikes and "
                f"not {mine[at]:g}, {distance[at]:.3g} from the threshold, where "
                f"rounding explains {error[at]:.3g}"
            )
        is_reset = (given > 0) & (node.reset.value == "hard")
        self.voltage_error[node.name] = np.where(is_reset, 0.0, error)
        return given

    def _error(self, node: Lif, voltage: FloatArray) -> FloatArray:
        """Return how far off the framework's voltage may be."""
        sums = np.abs(node.input_gain) * self.sums.arrived[node.name]
        current = self.current_error.get(node.name, np.zeros_like(voltage))
        current = current * (1 - node.current_decay) + self.roundings * sums
        current = current + OPERATIONS * UNIT * np.abs(self.current[node.name])
        self.current_error[node.name] = current
        before = self.voltage_error.get(node.name, np.zeros_like(voltage))
        size = np.abs(voltage) + np.abs(self.current[node.name]) + node.threshold
        size = size + self._before(node)
        kept = before * (1 - node.voltage_decay) + current
        total: FloatArray = kept + OPERATIONS * UNIT * size
        return total

    def _before(self, node: Lif) -> FloatArray:
        """Return the size of the voltage before this timestep."""
        return np.abs(np.asarray(self.voltage.get(node.name, node.initial_voltage)))


def _weights(graph: Graph) -> list[FloatArray]:
    return [n.weight for n in graph.order if isinstance(n, Linear | Conv2d)]


def _absolute(graph: Graph) -> Graph:
    """Return the graph whose sums are those of the sizes of what is added up."""
    for node in graph.order:
        changed = _without_signs(node)
        if changed is not node:
            graph = graph.replace(node, by=changed)
    return graph


def _without_signs(node: Node) -> Node:
    if isinstance(node, Linear | Conv2d):
        return replace(node, weight=np.abs(node.weight), bias=np.abs(node.bias))
    if isinstance(node, BatchNorm):
        return replace(
            node,
            scale=np.abs(node.scale),
            shift=np.abs(node.shift),
            mean=-np.abs(node.mean),
        )
    return node

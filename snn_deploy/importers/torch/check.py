"""Compare a graph with the module that it was read from, timestep by timestep."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.forms import Reading
from snn_deploy.importers.torch.frameworks.framework import Framework
from snn_deploy.importers.torch.timestep import Item
from snn_deploy.ir.floating import FloatRun, accumulate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.stimuli import Stimulus

TOLERANCE = 1e-5  # relative to the largest output
CALLS = (
    "forward does what its calls of layers do not show, such as keeping a value from "
    "one timestep to the next; write it as layers, sums and flattens alone"
)


def check_reading(
    graph: Graph,
    reading: Reading,
    names: Mapping[Item, str],
    values: IntArray,
    dropped: nn.Module | None,
    framework: Framework,
) -> None:
    """Raise an error if ``graph`` does not compute what the module did.

    What the module returned must be the graph's output, over all timesteps, and what
    each of its layers gave must be what that layer gives. Where a voltage meets its
    threshold but for rounding, as those of weights with few bits do, the module
    decides.

    Parameters
    ----------
    graph : Graph
        Its ReLUs are not cut off where those of the module are not.
    reading : Reading
        With what the module gave.
    names : mapping
        The layers that give what the items of a timestep are.
    values : array, (n, n_timesteps or 1, input_shape...)
        The integers that the module was given as inputs.
    dropped : nn.Module, optional
        What the module does to its output at each timestep, and the graph does not.
    framework : Framework
        Says what to do where layers are given other timesteps.

    Raises
    ------
    ModelError
        If an output differs.
    """
    n, n_timesteps = reading.unrolled.n, reading.n_timesteps
    advice = framework.advice or CALLS
    shape = (n_timesteps, *graph.input.shape)
    stimuli = [
        Stimulus(
            values=np.broadcast_to(value.reshape(-1, *graph.input.shape), shape),
            is_constant=False,
        )
        for value in values
    ]
    run = _Beside(graph, stimuli)
    outputs = []
    longest = max((edge.delay for edge in graph.edges), default=0)
    for index in range(n_timesteps):
        run.forget(longest)
        run.expected = _given(reading, names, index)
        run.step()
        sent = run.sent[-1]
        for node in graph.order:
            if node is not graph.input and node.name in run.expected:
                where = f"{node.name}: gives other outputs at timestep {index + 1} than"
                _compare(where, sent[node.name], run.expected[node.name], advice)
        output = sent[graph.output.name].reshape(n, -1)
        outputs.append(output)
        if reading.answer is None:
            if dropped is not None:
                output = dropped(torch.from_numpy(output)).numpy()
            where = f"{graph.output.name}: forward returns other values at timestep "
            _compare(f"{where}{index + 1} than", output, reading.gave(index), advice)
    if reading.answer is not None:
        answer = accumulate(np.stack(outputs, axis=1), graph.training.functional)
        found = reading.answer.of(answer[:, -1])
        expected = reading.gave(0)
        where = f"{graph.output.name}: forward returns another answer than"
        _compare(where, found, expected, advice)


def _given(
    reading: Reading, names: Mapping[Item, str], index: int
) -> dict[str, FloatArray]:
    """Return what the layers of the module gave in a timestep, by name."""
    found = {
        name: reading.numbers(item, index)
        for item, name in names.items()
        if item in reading.timestep.rows
    }
    return {name: given for name, given in found.items() if given is not None}


class _Beside(FloatRun):
    """A run in which ties are decided as in the module."""

    expected: dict[str, FloatArray]  # what each layer of the module gives now

    def forget(self, longest: int) -> None:
        """Let go of what was sent before the longest delay."""
        for old in self.sent[: max(0, len(self.sent) - longest - 1)]:
            old.clear()

    def _spikes(self, node: Lif, voltage: FloatArray) -> FloatArray:
        mine = super()._spikes(node, voltage)
        if node.name not in self.expected:
            return mine
        given = self.expected[node.name].reshape(voltage.shape) / node.spike_value
        # the voltage at which the larger of the two numbers of spikes begins
        edge = node.threshold + (np.maximum(mine, given) - 1) * node.reset_amount
        is_tie = np.abs(voltage - edge) <= TOLERANCE * node.threshold
        return np.where(is_tie, given, mine)


def _compare(where: str, found: FloatArray, expected: FloatArray, advice: str) -> None:
    """Raise an error if the module gives something else."""
    if found.size != expected.size:
        raise ModelError(
            f"{where} the layers before it say: {expected.size // len(expected)} "
            f"values for each input, not {found.size // len(expected)}; {advice}"
        )
    scale = max(float(np.abs(expected).max()), 1e-12)
    difference = np.abs(found.reshape(-1) - expected.reshape(-1)).max()
    if not difference <= TOLERANCE * scale:
        raise ModelError(
            f"{where} the layers before it say, by up to {difference:.3g} of "
            f"{scale:.3g}; {advice}"
        )

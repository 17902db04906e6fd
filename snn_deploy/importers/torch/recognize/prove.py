"""Run what a forward does and the neurons that it was read as, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.importers.torch.recognize.match import Recognized
from snn_deploy.importers.torch.recognize.polynomials import UnreadableError
from snn_deploy.importers.torch.recognize.replay import (
    OnTensors,
    as_array,
    replayed,
    smallest,
)
from snn_deploy.importers.torch.timestep import Item
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Integrator, Lif, Neuron
from snn_deploy.ir.nodes import Input
from snn_deploy.ir.stimuli import Encoding, Stimulus

N_TIMESTEPS = 32
N_VALUES = 4096  # of a timestep, if the layer has no more, in all inputs together
TIE = 1e-9  # of the threshold: closer to it, rounding decides


def neurons_of(reading: Recognized, name: str, shape: Shape) -> Neuron:
    """Return neurons of ``shape``, without the batch; a row of channels is a map."""
    if len(shape) == 2:
        shape = (shape[0], 1, shape[1])
    values: dict[str, Any] = {
        key: value[:, np.newaxis] if np.ndim(value) == 2 and len(shape) == 3 else value
        for key, value in vars(reading).items()
        if isinstance(value, np.ndarray)
    }
    if reading.comparison is None:
        del values["threshold"], values["reset_amount"]
        return Integrator(name=name, shape=shape, **values)
    return Lif(
        name=name,
        shape=shape,
        **values,
        reset=reading.reset,
        comparison=reading.comparison,
        spike_value=reading.spike_value,
        refractory=reading.refractory,
    )


def prove(
    reading: Recognized,
    items: Sequence[Item],
    inputs: Sequence[Item],
    output: Item,
) -> None:
    """Raise an error unless ``items`` compute from ``inputs`` what the neurons do.

    Both run on random values, in double precision: half of them weak, so that voltages
    stay below the threshold for long, half of them strong.

    Raises
    ------
    UnreadableError
        If ``output`` is something else in any timestep, or never changes.
    """
    rng = np.random.default_rng(0)
    shape = smallest(items, output.shape)
    n = max(N_VALUES // int(np.prod(shape)), 2)
    loudness = np.geomspace(0.25, 16, n).reshape(-1, *(1 for _ in shape))
    lost = np.maximum(reading.voltage_decay * reading.current_decay, 0.1)
    drive = loudness * reading.threshold * lost / np.abs(reading.input_gain)
    values = {
        item: [drive * rng.normal(0.4, 1.0, (n, *shape)) for _ in range(N_TIMESTEPS)]
        for item in inputs
    }
    fed = {item: [torch.from_numpy(x) for x in xs] for item, xs in values.items()}
    run = _Fed(neurons_of(reading, "neurons", shape), values, reading.input_delay)
    seen = set()
    for now in replayed(items, fed, OnTensors(output.shape, shape, n)):
        run.expected = as_array(now[output], (n, *shape)).reshape(n, *run.shape)
        run.step()
        found = run.sent[-1]["neurons"]
        scale = max(float(np.abs(run.expected).max()), 1e-12)
        difference = float(np.abs(found - run.expected).max())
        if not difference <= TIE * scale:
            raise UnreadableError(
                f"gives something else than it seemed from timestep {len(run.sent)} "
                f"on, by up to {difference:.3g} of {scale:.3g}"
            )
        seen |= {*np.unique(found)[:2]}
    if len(seen) < 2:
        raise UnreadableError("never spikes, or always")


class _Fed(FloatRun):
    """One layer that is given real values; ties are decided as is expected."""

    expected: FloatArray

    def __init__(
        self, node: Neuron, values: Mapping[Item, Sequence[FloatArray]], delay: int
    ) -> None:
        graph = Graph(
            name=node.name,
            nodes=(Input(name="input", shape=node.shape), node),
            edges=(Edge(source="input", target=node.name, delay=delay),),
            training=Training(timesteps=N_TIMESTEPS, encoding=Encoding.EVENTS),
        )
        silence = np.zeros((1, *node.shape), np.int32)
        stimulus = Stimulus(values=silence, is_constant=True)
        self.values = [
            np.sum(now, axis=0) for now in zip(*values.values(), strict=True)
        ]
        super().__init__(graph, [stimulus] * len(self.values[0]))
        self.shape = node.shape

    def _input(self) -> FloatArray:
        return np.asarray(self.values[len(self.sent) - 1].reshape(-1, *self.shape))

    def _spikes(self, node: Lif, voltage: FloatArray) -> FloatArray:
        mine = super()._spikes(node, voltage)
        is_tie = np.abs(voltage - node.threshold) <= TIE * node.threshold
        return np.where(is_tie, self.expected / node.spike_value, mine)

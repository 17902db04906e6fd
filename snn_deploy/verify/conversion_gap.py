"""What it costs to run a conventional network as a spiking one, by timesteps."""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.data.data import Data
from snn_deploy.errors import DataError
from snn_deploy.ir.floating import accumulate, evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.stimuli import ends_of

MOST_INPUTS = 500  # float networks are slow
BATCH = 50


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Shares of right answers on the same inputs, both in float."""

    n_inputs: int
    network: float  # before the conversion
    spiking: tuple[float, ...]  # after 1, 2, ... timesteps

    @property
    def shown(self) -> tuple[tuple[int, float], ...]:
        """Timesteps and accuracy at powers of 2 and at the end."""
        last = len(self.spiking)
        steps = [t for t in (1 << i for i in range(last)) if t < last] + [last]
        return tuple((t, self.spiking[t - 1]) for t in steps)


def conversion_gap(graph: Graph, data: Data) -> Gap:
    """Return how often ``graph`` and its spiking form are right on labelled inputs.

    Raises
    ------
    DataError
        If there are no labels.
    """
    if data.y is None:
        raise DataError("the inputs have no labels y; store them to see the accuracy")
    n = min(len(data), MOST_INPUTS)
    stimuli = [stimulus for _, stimulus in islice(data.stimuli(), n)]
    spiking = to_spiking(graph)
    functional = spiking.training.functional
    before, after = [], []
    for start in range(0, n, BATCH):
        batch = stimuli[start : start + BATCH]
        labels = data.y[start : start + len(batch), np.newaxis]
        before.append(evaluate(graph, batch, 1).argmax(axis=-1) == labels)
        scores = accumulate(evaluate(spiking, batch), functional)
        found = scores.argmax(axis=-1) == labels
        ends = ends_of(batch, found.shape[1])[:, np.newaxis]
        until = np.minimum(np.arange(found.shape[1]), ends - 1)  # the answer stays
        after.append(np.take_along_axis(found, until, axis=1))
    return Gap(
        n_inputs=n,
        network=float(np.concatenate(before).mean()),
        spiking=tuple(np.concatenate(after).mean(axis=0).tolist()),
    )

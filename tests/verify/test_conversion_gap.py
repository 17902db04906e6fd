"""conversion_gap: the shares of right answers before and after, by timesteps."""

import numpy as np
import pytest

from snn_deploy.data.data import Data
from snn_deploy.errors import DataError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Relu
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.verify.conversion_gap import Gap, conversion_gap
from tests.build import chain, linear, rng

TRAINING = Training(timesteps=6, encoding=Encoding.DIRECT)
X = rng(1).integers(0, 256, (80, 9)).astype(np.uint8)


def perceptron(maximum: float) -> Graph:
    return chain(
        linear("in", 9, 20),
        Relu(name="relu", shape=(20,), maximum=maximum),
        linear("out", 20, 3, seed=2),
        training=TRAINING,
    )


def labelled(graph: Graph) -> Data:
    """Return inputs whose labels are what the network answers."""
    stimuli = [Stimulus(values=x[np.newaxis], is_constant=True) for x in X]
    answers = evaluate(graph, stimuli, 1)[:, 0].argmax(axis=1)
    return Data(x=X, y=answers, training=graph.training)


def test_network_without_neurons_loses_nothing() -> None:
    graph = chain(linear("only", 9, 3), training=TRAINING)

    gap = conversion_gap(graph, labelled(graph))

    assert gap == Gap(n_inputs=80, network=1.0, spiking=(1.0,) * 6)


def test_threshold_that_clips_or_is_never_reached_shows() -> None:
    graph = perceptron(2.0)
    data = labelled(graph)

    good = conversion_gap(graph, data)
    deaf = conversion_gap(perceptron(1e4), data)

    assert good.network == 1.0
    assert len(good.spiking) == 6
    assert good.spiking[-1] > deaf.spiking[-1] + 0.2


def test_shown_are_powers_of_two_and_the_end() -> None:
    gap = Gap(n_inputs=1, network=1.0, spiking=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6))

    assert gap.shown == ((1, 0.1), (2, 0.2), (4, 0.4), (6, 0.6))


def test_labels_are_needed() -> None:
    graph = perceptron(2.0)
    data = Data(x=X, y=None, training=graph.training)

    with pytest.raises(DataError, match="no labels"):
        conversion_gap(graph, data)

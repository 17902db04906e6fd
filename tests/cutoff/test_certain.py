"""certain: no answer changes, whatever the network; and where it is not defined."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.cutoff.oracle import answers
from snn_deploy.cutoff.rules.certain import certain, largest_changes
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.errors import CalibrationError
from snn_deploy.fixedpoint import VOLTAGE_LIMIT
from snn_deploy.ir.graph import Functional, Training
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses
from tests.build import dense, integers, population, rng, trains

N_TIMESTEPS = 5
N_NETWORKS = 1000


def training(functional: Functional) -> Training:
    return Training(
        timesteps=N_TIMESTEPS, encoding=Encoding.RATE, functional=functional
    )


def network(seed: int, *, counts: bool, **changes: Any) -> QuantizedGraph:
    """Return random weights from a few inputs to a hidden layer and a read-out."""
    draw = rng(seed)
    n_in, n_hidden = draw.integers(1, 7, size=2)
    n_out = int(draw.integers(2, 5))
    bias = draw.integers(-30, 31, size=n_out)
    hidden = population("hidden", (int(n_hidden),), threshold=np.array(20))
    readout = population(
        "out",
        (n_out,),
        spikes=counts,
        bias_mantissa=bias * (4 if counts else 1),
        voltage_decay=np.array(400 if counts else 0),
        threshold=np.array(30),
        **changes,
    )
    weights = [
        draw.integers(-20, 21, size=(n_hidden, n_in)) * 2,
        draw.integers(-20, 21, size=(n_out, n_hidden)) * 2,
        draw.integers(-6, 7, size=(n_out, n_in)) * 2,
    ]
    return integers(
        [hidden, readout],
        [
            dense("input", "hidden", weights[0]),
            dense("hidden", "out", weights[1], exponent=int(draw.integers(-2, 2))),
            dense("input", "out", weights[2]),
        ],
        shape=(int(n_in),),
        training=training(Functional.SUM if counts else Functional.LAST),
    )


def outputs(graph: QuantizedGraph, n: int, seed: int) -> IntArray:
    """Return the accumulated outputs ``(n, n_timesteps, n_classes)``."""
    stimuli = trains(n, N_TIMESTEPS, graph.source.shape, seed)
    simulation = Simulation(graph, stimuli)
    found = []
    for _ in range(N_TIMESTEPS):
        simulation.step()
        found.append(simulation.readout())
    scores = np.stack(found, axis=1)
    is_sum = graph.training.functional is Functional.SUM
    return scores.cumsum(axis=1) if is_sum else scores


@pytest.mark.parametrize("counts", [True, False], ids=["counts", "integrators"])
def test_certain_changes_no_answer_of_a_thousand_random_networks(counts: bool) -> None:
    n_early = 0
    for seed in range(N_NETWORKS // 2):
        graph = network(seed, counts=counts)
        scores = outputs(graph, 4, seed)

        timesteps = stops(scores, certain(*largest_changes(graph), N_TIMESTEPS))

        found = answers(scores)
        np.testing.assert_array_equal(
            found[np.arange(4), timesteps - 1], found[:, -1], err_msg=f"seed {seed}"
        )
        n_early += int((timesteps < N_TIMESTEPS).sum())
    assert n_early > N_NETWORKS / 10  # and it does stop


def test_a_lead_that_saturation_could_eat_is_not_certain() -> None:
    gains, steps = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([100.0, 100.0])
    scores = np.array([[VOLTAGE_LIMIT - 100, 0], [VOLTAGE_LIMIT - 99, 0]])

    settled = certain(gains, steps, N_TIMESTEPS)(scores, N_TIMESTEPS - 1)

    assert settled.tolist() == [True, False]


def test_networks_that_saturate_keep_their_answers_too() -> None:
    n_saturated = 0
    for seed in range(40):
        start = np.array(VOLTAGE_LIMIT - 4000)
        graph = network(seed, counts=False, initial_voltage=start)
        scores = outputs(graph, 4, seed)

        timesteps = stops(scores, certain(*largest_changes(graph), N_TIMESTEPS))

        found = answers(scores)
        np.testing.assert_array_equal(
            found[np.arange(4), timesteps - 1], found[:, -1], err_msg=f"seed {seed}"
        )
        n_saturated += int((scores == VOLTAGE_LIMIT).any())
    assert n_saturated > 5


def test_the_largest_gain_is_reached_by_the_worst_input() -> None:
    """Weights 6 and -4, bias 3 and 1: class 0 gains 10 * 64 + 2 from a spike."""
    graph = integers(
        [
            population(
                "out",
                (2,),
                spikes=False,
                voltage_decay=np.array(0),
                bias_mantissa=np.array([3, 1]),
            )
        ],
        [dense("input", "out", [[6], [-4]])],
        shape=(1,),
        training=training(Functional.LAST),
    )

    gains, steps = largest_changes(graph)

    assert gains.tolist() == [[0, 642], [-2, 0]]
    assert steps.tolist() == [6 * 64 + 3, 4 * 64 + 1]
    scores = outputs(graph, 8, seed=1)
    changes = np.diff(scores[..., 0] - scores[..., 1], axis=1)
    assert changes.max() == 642
    assert changes.min() == 2  # no spike


def test_several_spikes_in_a_timestep_count() -> None:
    graph = network(0, counts=True)
    readout = replace(
        graph.readout,
        max_spikes=5,
        reset=type(graph.readout.reset).SOFT,
    )
    graph = replace(graph, populations=(*graph.populations[:-1], readout))

    gains, steps = largest_changes(graph)

    assert np.all(gains == 5)
    assert not np.any(steps)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"current_decay": np.array(2000)},
            "so it forgets its lead; use the rule",
        ),
        ({"lowest_voltage": np.array(-300)}, "not the sum of its inputs alone"),
        ({"takes_bias": True}, "its voltage is not the sum"),
    ],
)
def test_a_read_out_that_forgets_or_takes_a_bias_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    graph = network(0, counts=False, **changes)

    with pytest.raises(CalibrationError, match=message):
        largest_changes(graph)


def test_a_leaky_read_out_is_refused() -> None:
    graph = network(0, counts=False)
    readout = replace(graph.readout, voltage_decay=np.array(1))
    graph = replace(graph, populations=(*graph.populations[:-1], readout))

    with pytest.raises(CalibrationError, match="out: it leaks"):
        largest_changes(graph)


def test_a_current_that_can_wrap_is_refused() -> None:
    graph = network(0, counts=False)
    last = replace(graph.projections[-1], exponent=15)
    graph = replace(graph, projections=(*graph.projections[:-1], last))

    with pytest.raises(CalibrationError, match=r"its current can reach .* and wrap"):
        largest_changes(graph)


def test_spikes_that_are_not_counted_are_refused() -> None:
    graph = replace(network(0, counts=True), training=training(Functional.MAX))

    with pytest.raises(CalibrationError, match="its spikes are not counted"):
        largest_changes(graph)


def test_single_synapses_are_bounded_like_the_same_matrix() -> None:
    graph = network(3, counts=False)
    last = graph.projections[-1]
    weights = last.synapses.weights
    targets, sources = np.nonzero(np.ones_like(weights))
    sparse = SparseSynapses(
        weights=weights.reshape(-1),
        targets=targets,
        sources=sources,
        size=weights.shape,
    )
    single = replace(
        graph, projections=(*graph.projections[:-1], replace(last, synapses=sparse))
    )

    for mine, theirs in zip(
        largest_changes(single), largest_changes(graph), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_convolution_as_read_out_is_refused() -> None:
    synapses = ConvSynapses(
        weights=np.ones((2, 1, 1, 1), np.int64),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
    )
    out = population("out", (2, 1, 1), spikes=False, voltage_decay=np.array(0))
    into = dense("input", "out", [[1], [1]])
    graph = integers(
        [out],
        [replace(into, synapses=synapses)],
        shape=(1, 1, 1),
        training=training(Functional.LAST),
    )

    with pytest.raises(CalibrationError, match="not defined for a convolution"):
        largest_changes(graph)

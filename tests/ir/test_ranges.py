"""ranges: where it says that nothing can wrap or saturate, nothing ever does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.fixedpoint import VOLTAGE_LIMIT
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.ranges import CURRENT_LIMIT, kept_sum, reach_of
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Stimulus
from tests.build import RATE, dense, integers, population
from tests.conformance.networks import Case, cases
from tests.conformance.tally import examples

T = RATE.timesteps


def worst_cases(graph: QuantizedGraph, seed: int) -> list[Stimulus]:
    """Return inputs at the ends: all, those of each sign of a target's, random."""
    source, n = graph.source, graph.training.timesteps
    rows = [np.ones(source.size, np.bool_), np.zeros(source.size, np.bool_)]
    for projection in graph.projections:
        weights = projection.synapses.weights
        if projection.source == source.name and weights.ndim == 2:
            rows += [(weights[0] > 0), (weights[0] < 0), (weights[-1] < 0)]
    patterns = [np.tile(row, (n, 1)) for row in rows]
    patterns += [*(np.random.default_rng(seed).random((3, n, source.size)) < 0.7)]
    return [
        Stimulus(
            values=source.largest_value
            * pattern.reshape(n, *source.shape).astype(np.int32),
            is_constant=False,
        )
        for pattern in patterns
    ]


@examples(200)
@given(case=cases(max_timesteps=14), seed=st.integers(0, 2**32 - 1))
def test_no_input_leaves_the_range(case: Case, seed: int) -> None:
    graph = case.graph
    simulation = Simulation(graph, worst_cases(graph, seed))

    for _ in range(graph.training.timesteps):
        simulation.step()

        for name, state in simulation.states.items():
            reach = reach_of(graph, graph.population(name))
            n_saturations, n_wraps = simulation.limited[name].sum(axis=0)
            assert n_wraps == 0 or reach.can_wrap.any()
            assert n_saturations == 0 or reach.can_saturate.any()
            shape = (len(state.voltage), *graph.shape_of(name))
            within(state.voltage.reshape(shape), reach.voltage.low, VOLTAGE_LIMIT)
            if not reach.can_wrap.any():
                within(state.current.reshape(shape), reach.current.low, np.inf)
                within(-state.current.reshape(shape), -reach.current.high, np.inf)


def within(values: IntArray, lowest: FloatArray, limit: float) -> None:
    assert (values >= np.maximum(lowest, -limit)).all()


def inhibited(weight: int, n_timesteps: int, **changes: object) -> QuantizedGraph:
    """Return an integrate-and-fire neuron, one input of which inhibits it."""
    settings = {"reset": Reset.SOFT, "voltage_decay": np.array(0), **changes}
    return integers(
        [population("a", (1,), **settings)],
        [dense("input", "a", [[100, weight]])],
        shape=(2,),
        training=replace(RATE, timesteps=n_timesteps),
    )


@pytest.mark.parametrize(("n_timesteps", "can"), [(655, False), (656, True)])
def test_inhibition_saturates_from_the_first_timestep_that_is_too_many(
    n_timesteps: int, can: bool
) -> None:
    graph = inhibited(-200, n_timesteps)  # 655 * 200 * 64 = 8,384,000 of 8,388,607
    values = np.tile([0, 1], (n_timesteps, 1))

    simulation = Simulation(graph, [Stimulus(values=values, is_constant=False)])
    for _ in range(n_timesteps):
        simulation.step()

    assert reach_of(graph, graph.readout).can_saturate.tolist() == [can]
    assert (simulation.states["a"].saturations[0] > 0) == can


def test_a_leak_bounds_what_inhibition_leaves() -> None:
    graph = inhibited(-200, 100_000, voltage_decay=np.array(409))

    reach = reach_of(graph, graph.readout)

    assert not reach.can_saturate.any()
    np.testing.assert_allclose(reach.voltage.low, -200 * 64 * 4096 / 409)


def test_strong_excitation_outruns_a_soft_reset_only() -> None:
    strong = {"reset_amount": np.array(640), "threshold": np.array(10)}

    soft = inhibited(0, 2000, **strong)
    hard = inhibited(0, 2000, **strong, reset=Reset.HARD)

    assert reach_of(soft, soft.readout).can_saturate.all()
    assert not reach_of(hard, hard.readout).can_saturate.any()


def test_sums_that_wrap_are_found() -> None:
    graph = integers(
        [population("a", (1,))],
        [dense("input", "a", [[254, 254]], exponent=7)],
        shape=(2,),
        training=RATE,
    )

    reach = reach_of(graph, graph.readout)

    assert reach.current.high == 2 * 254 * 128 * 64 < CURRENT_LIMIT
    more = replace(graph, source=replace(graph.source, largest_value=3))
    assert reach_of(more, more.readout).can_wrap.all()


def test_what_is_kept_adds_up() -> None:
    lost = np.array([0.0, 1.0, 0.25])
    sums = [sum((1 - d) ** k for k in range(T)) for d in lost]

    np.testing.assert_allclose(kept_sum(lost, T), sums)

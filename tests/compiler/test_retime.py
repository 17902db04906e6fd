"""retime: offsets and delays of a pipelined chip."""

import pytest

from snn_deploy.compiler.lower.retime import retime
from snn_deploy.errors import FitError, PassError
from tests.build import dense, integers, population, simulator

ONE = [[2]]


def test_each_layer_is_one_timestep_behind_the_one_before() -> None:
    layers = [population(name, (1,)) for name in "abc"]
    projections = [dense("input", "a", ONE), dense("a", "b", ONE), dense("b", "c", ONE)]

    network = retime(integers(layers, projections, shape=(1,)), simulator())

    assert [p.offset for p in network.populations] == [1, 2, 3]
    assert [p.delay for p in network.projections] == [1, 1, 1]
    assert network.depth == 3


def test_a_short_branch_is_delayed_until_the_long_one_arrives() -> None:
    layers = [population(name, (1,)) for name in "abc"]
    projections = [
        dense("input", "a", ONE),
        dense("a", "b", ONE),
        dense("b", "c", ONE),
        dense("a", "c", ONE),
        dense("input", "c", ONE),
    ]

    network = retime(integers(layers, projections, shape=(1,)), simulator())

    assert [p.delay for p in network.projections] == [1, 1, 1, 2, 3]


def test_a_trained_delay_takes_the_place_of_the_pipeline() -> None:
    layers = [population(name, (1,)) for name in "ab"]
    projections = [dense("input", "a", ONE), dense("a", "b", ONE, delay=3)]

    network = retime(integers(layers, projections, shape=(1,)), simulator())

    assert network.population("b").offset == 0
    assert [p.delay for p in network.projections] == [1, 2]


def test_a_loop_of_delay_one_through_one_population_runs() -> None:
    layers = [population("a", (1,))]
    projections = [dense("input", "a", ONE), dense("a", "a", ONE, delay=1)]

    network = retime(integers(layers, projections, shape=(1,)), simulator())

    assert network.projections[1].delay == 1


def test_a_loop_with_less_delay_than_edges_is_refused_by_name() -> None:
    layers = [population(name, (1,)) for name in "ab"]
    projections = [
        dense("input", "a", ONE),
        dense("a", "b", ONE),
        dense("b", "a", ONE, delay=1),
    ]

    with pytest.raises(
        PassError, match=r"(a -> b -> a|b -> a -> b): this loop has less"
    ):
        retime(integers(layers, projections, shape=(1,)), simulator())


def test_a_delay_over_the_limit_is_a_fit_error() -> None:
    layers = [population("a", (1,))]
    projections = [dense("input", "a", ONE), dense("a", "a", ONE, delay=64)]

    with pytest.raises(
        FitError, match="a->a: needs a delay of 63, loihi-sim allows 62"
    ):
        retime(integers(layers, projections, shape=(1,)), simulator())

"""rules: a neuron's most synapses of a neuron, counted one by one."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from snn_deploy.chip.neurocore import FAN_IN, FAN_OUT
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.map.rules import check_rules, largest_fans
from snn_deploy.errors import FitError
from tests.build import dense, integers, population, simulator
from tests.conformance.networks import Case, cases
from tests.conformance.oracle import synapses_of
from tests.conformance.tally import examples


def limited(**limits: Any) -> Target:
    target = simulator()
    return replace(target, neurocore=replace(target.neurocore, **limits))


@given(case=cases(max_timesteps=2, may_be_long=False))
@examples(150)
def test_fans_are_what_the_synapses_count(case: Case) -> None:
    into: Counter[tuple[str, int]] = Counter()
    out_of: Counter[tuple[str, int]] = Counter()
    for projection in case.graph.projections:
        for source, target, _ in synapses_of(case.graph, projection):
            into[projection.target, target] += 1
            out_of[projection.source, source] += 1
    limits = limited(fan_in=1, fan_out=1).neurocore

    for layer in case.graph.populations:
        found = largest_fans(case.graph, layer, limits)

        neurons = range(layer.size)
        assert found[FAN_IN] == max(into[layer.name, i] for i in neurons)
        assert found[FAN_OUT] == max(out_of[layer.name, i] for i in neurons)


def test_without_limits_nothing_is_counted() -> None:
    graph = integers(
        [population("a", (4,))], [dense("input", "a", np.ones((4, 2)))], shape=(2,)
    )

    assert largest_fans(graph, graph.populations[0], limited().neurocore) == {}


def test_a_mapping_with_too_many_synapses_is_refused_by_layer() -> None:
    graph = integers(
        [population("a", (4,), offset=1), population("b", (3,), offset=2)],
        [dense("input", "a", np.ones((4, 2))), dense("a", "b", np.ones((3, 4)))],
        shape=(2,),
    )

    def mapped(target: Target) -> None:
        check_rules(place(partition(graph, target), target))

    mapped(limited(fan_in=4, fan_out=3))
    with pytest.raises(FitError, match="b: 4 synapses of fan-in, allowed are 3"):
        mapped(limited(fan_in=3))
    with pytest.raises(FitError, match="a: 3 synapses of fan-out, allowed are 2"):
        mapped(limited(fan_out=2))

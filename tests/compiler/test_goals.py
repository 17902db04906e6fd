"""choose: a cut for a goal, by what a timestep is modelled to take."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from snn_deploy.chip.target import Cost, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.map.goals import MOST_INJECTED, choose, goal_on, unknown_for
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.mapped import GOALS, MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from tests.build import RATE, chain, lif, linear, simulator
from tests.compiler import test_pack
from tests.compiler.test_pack import TARGET, problems


def priced(target: Target, **costs: Cost) -> Target:
    """Return a target with other prices."""
    return replace(target, costs=(*{**dict(target.costs), **costs}.items(),))


def costless(target: Target, *names: str) -> Target:
    """Return a target without some of its prices."""
    costs = tuple(pair for pair in target.costs if pair[0] not in names)
    return replace(target, costs=costs)


def busiest(network: MappedNetwork) -> int:
    """Return the most synapses that a neurocore reads if every neuron spikes."""
    per_core = sum(
        routes.kinds.n_neurons @ routes.synapses for routes in network.routes.values()
    )
    return int(np.max(per_core))


def injected(network: MappedNetwork) -> int:
    """Return the packets that the host sends if every value of the input spikes."""
    routes = network.routes[network.graph.source.name]
    return int(routes.packets.sum(axis=1) @ routes.kinds.n_neurons)


def dense(*sizes: int) -> Graph:
    """Return dense layers, whose input goes to each neurocore of the first."""
    layers = [
        node
        for i, (n_in, n_out) in enumerate(pairwise(sizes))
        for node in (linear(f"fc{i}", n_in, n_out), lif(f"n{i}", (n_out,)))
    ]
    return chain(*layers, training=RATE)


def graph() -> QuantizedGraph:
    return test_pack.graph()


def test_finer_cut_uses_the_neurocores_of_the_chip_and_the_busiest_does_less() -> None:
    few = TARGET.mesh
    target = replace(TARGET, mesh=replace(few, neurocores=16))
    coarse = place(partition(graph(), target), target)

    fine = place(choose(graph(), target, "latency").cut, target)

    assert len(coarse.cores) < len(fine.cores) <= 16
    assert fine.n_chips == 1
    assert 2 * busiest(fine) <= busiest(coarse)
    assert problems(fine) == []


def test_what_needs_more_neurocores_than_there_are_is_cut_as_it_must() -> None:
    board = replace(TARGET.board, height=1, width=1)
    target = replace(TARGET, mesh=replace(TARGET.mesh, neurocores=2), board=board)

    assert len(choose(graph(), target, "energy").cut.pieces) == 4


def test_without_prices_of_time_nothing_is_cut_finer() -> None:
    target = replace(TARGET, costs=())

    for goal in ("energy", "latency"):
        found = choose(graph(), target, goal).cut
        assert len(found.pieces) == len(partition(graph(), target).pieces)


@pytest.mark.parametrize("name", ["loihi-sim", "loihi1", "loihi2"])
def test_the_default_is_energy_where_a_target_has_its_prices(name: str) -> None:
    target = read_target(name)
    bare, without = costless(target, "static"), costless(target, "access", "static")

    assert goal_on(target) == "energy"
    assert unknown_for("energy", bare) == ("power of static",)
    assert (goal_on(bare), goal_on(bare, "latency")) == ("cores", "latency")
    assert (goal_on(without), goal_on(without, "latency")) == ("cores", "cores")
    assert goal_on(target, "cores") == "cores"


def test_a_network_knows_what_it_was_mapped_for() -> None:
    model = dense(40, 30, 10)

    for goal in GOALS:
        assert compile_model(model, simulator(), optimize=goal).goal == goal
    assert compile_model(model, simulator()).goal == "energy"
    assert compile_model(model, costless(simulator(), "static")).goal == "cores"


def test_what_other_goals_would_take_is_told() -> None:
    found = choose(graph(), TARGET, "cores", compares=True).efforts

    assert [*found] == [*GOALS]
    assert found["energy"].energy_j == min(e.energy_j for e in found.values())
    assert found["latency"].time_s == min(e.time_s for e in found.values())
    assert found["cores"].n_cores == min(e.n_cores for e in found.values()) == 3


@pytest.mark.parametrize("goal", ["energy", "latency"])
def test_packets_without_a_price_are_at_most_twice_those_of_few_neurocores(
    goal: str,
) -> None:
    model, target = dense(400, 200, 100, 10), simulator()
    nearly_free = Cost(time_s=1e-15, source="test")

    few = compile_model(model, target, optimize="cores")
    unknown = compile_model(model, target, optimize=goal)
    free = compile_model(model, priced(target, injection=nearly_free), optimize=goal)

    assert injected(few) == 400
    assert injected(unknown) == MOST_INJECTED * 400  # no more though it would be faster
    assert injected(free) > MOST_INJECTED * 400
    assert len(few.cores) < len(unknown.cores)


@pytest.mark.parametrize("n_rows", [28, 14])
def test_packets_of_the_middle_of_an_image_are_no_more_than_twice_as_many_either(
    n_rows: int,
) -> None:
    model = load_model(packaged_folder("models") / "mnist_lif" / "model.pt")
    inside = slice((28 - n_rows) // 2, (28 + n_rows) // 2)

    sent = {}
    for goal in ("cores", "energy"):
        network = compile_model(model, simulator(), optimize=goal)
        routes = network.routes[network.graph.source.name]
        packets = np.asarray(routes.packets.sum(axis=1))[routes.kinds.of_neurons]
        image = packets.reshape(28, 28)
        sent[goal] = image[inside, inside].sum()

    assert sent["cores"] < sent["energy"] <= MOST_INJECTED * sent["cores"]


def test_a_price_of_packets_is_part_of_the_goal() -> None:
    model, target = dense(400, 200, 100, 10), simulator()
    sent = []
    for time_ns in (1e-6, 1, 10, 1000):
        cost = Cost(time_s=time_ns * 1e-9, source="test")
        chosen = compile_model(model, priced(target, injection=cost))
        sent.append(injected(chosen))

    assert sent == sorted(sent, reverse=True)
    assert sent[0] > sent[-1] == 400


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("chip_crossing", Cost(time_s=1e-3, source="test")),
        ("chip_crossing", Cost(energy_j=1e-3, source="test")),
        ("barrier_of_chips", Cost(time_s=1e-3, source="test")),
    ],
)
def test_goals_see_what_several_chips_cost(name: str, cost: Cost) -> None:
    target = replace(TARGET, mesh=replace(TARGET.mesh, neurocores=3))
    target = priced(target, static=Cost(power_w=1e-3, source="test"))
    none = Cost(time_s=0.0, energy_j=0.0, source="test")
    target = priced(target, embedded=Cost(power_w=0.065, source="test"))  # of a board
    cheap = priced(target, chip_crossing=none, barrier_of_chips=none, reset=none)

    assert place(choose(graph(), cheap, "energy").cut, cheap).n_chips == 2
    dear = priced(cheap, **{name: cost})
    assert place(choose(graph(), dear, "energy").cut, dear).n_chips == 1

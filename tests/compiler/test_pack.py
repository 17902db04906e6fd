"""pack and spread: layers that share neurocores, and neurocores that share the work."""

from dataclasses import replace

import numpy as np

from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.map.pack import pack, spread
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.map.rules import check_rules
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from tests.build import chain, conv, lif, simulator
from tests.compiler.checker import Checker
from tests.compiler.test_checked import table

TARGET = replace(
    simulator(), neurocore=replace(simulator().neurocore, compartments=150)
)


def graph() -> QuantizedGraph:
    layers = chain(
        conv("a", (2, 8, 8), 4),
        lif("one", (4, 8, 8)),
        conv("b", (4, 8, 8), 2, stride=(2, 2)),
        lif("two", (2, 4, 4)),
        conv("c", (2, 4, 4), 3),
        lif("three", (3, 4, 4)),
    )
    return retime(quantize(layers, TARGET), TARGET)


def busiest(network: MappedNetwork) -> int:
    """Return the most synapses that a neurocore reads if every neuron spikes."""
    per_core = sum(routes.synapses.sum(axis=0) for routes in network.routes.values())
    return int(np.max(per_core))


def problems(network: MappedNetwork) -> list[str]:
    chip = table()
    chip["neurocore"]["compartments"] = 150
    return [*Checker(network, chip).problems()]


def test_layers_share_neurocores_and_none_is_over_its_limits() -> None:
    apart = partition(graph(), TARGET)

    together = pack(apart, TARGET)

    assert len(apart.together) == 4  # 256 neurons, 32 and 48
    assert len(together.together) == 3  # the fewest for 336 neurons
    network = place(together, TARGET)
    check_rules(network)
    assert problems(network) == []


def test_spread_cut_uses_the_neurocores_of_the_chip_and_the_busiest_does_less() -> None:
    few = TARGET.mesh
    target = replace(TARGET, mesh=replace(few, neurocores=16))
    coarse = place(partition(graph(), target), target)

    fine = place(spread(graph(), target, "latency"), target)

    assert len(coarse.cores) < len(fine.cores) <= 16
    assert fine.n_chips == 1
    assert 2 * busiest(fine) <= busiest(coarse)
    assert problems(fine) == []


def test_what_needs_more_neurocores_than_there_are_is_not_spread() -> None:
    board = replace(TARGET.board, height=1, width=1)
    target = replace(TARGET, mesh=replace(TARGET.mesh, neurocores=2), board=board)

    assert len(spread(graph(), target, "energy").pieces) == 4


def test_without_prices_of_time_nothing_is_spread() -> None:
    target = replace(TARGET, costs=())

    for goal in ("energy", "latency"):
        found = spread(graph(), target, goal)
        assert len(found.pieces) == len(partition(graph(), target).pieces)

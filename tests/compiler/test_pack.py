"""pack: layers that share neurocores, and none is over its limits."""

from dataclasses import replace

from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.map.pack import pack
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

"""Every mapping holds against a checker that shares no code with the mapper."""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.chip.target_file import target_from_table
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.map.rules import check_rules
from snn_deploy.errors import FitError
from snn_deploy.files.writing import packaged_folder
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.synapses import ConvSynapses
from tests.build import dense, integers, population
from tests.compiler.checker import Checker, MappedOracle
from tests.conformance.networks import Case, cases
from tests.conformance.oracle import Oracle
from tests.conformance.tally import TALLY, examples

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def table() -> dict[str, Any]:
    path = packaged_folder("targets") / "loihi-sim.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


@st.composite
def chips(draw: Any) -> dict[str, Any]:
    """Draw the table of a small chip, alone or on a board."""
    found = table()
    found["precision"]["delay_max"] = 1000  # retime lengthens what is drawn
    found["neurocore"] |= {
        "compartments": draw(st.integers(1, 40)),
        "synaptic_memory_bits": draw(st.sampled_from((400, 3000, 20000))),
        "input_axons": draw(st.sampled_from((20, 60, 400))),
        "output_axons": draw(st.sampled_from((20, 60, 400))),
        "shares_kernels": draw(st.booleans()),
        "neurons_per_axon": draw(st.sampled_from((1, 2, 3, 8))),
        "index_bits": draw(st.sampled_from((0, 6))),
        "synapses_per_block": draw(st.sampled_from((1, 5))),
        "block_header_bits": draw(st.sampled_from((0, 10))),
        "memory_word_bits": draw(st.sampled_from((1, 16))),
        "neuron_bits": draw(st.sampled_from((0, 64))),
        "output_axon_bits": draw(st.sampled_from((0, 40))),
        "memory_bits": draw(st.sampled_from((600, 4000, 30000))),
    }
    for limit in draw(st.sets(st.sampled_from(("output_axons", "memory_bits")))):
        del found["neurocore"][limit]
    if "memory_bits" not in found["neurocore"]:
        del found["neurocore"]["neuron_bits"], found["neurocore"]["output_axon_bits"]
    for limit in draw(st.sets(st.sampled_from(("fan_in", "fan_out")))):
        found["neurocore"][limit] = draw(st.sampled_from((3, 12, 60, 1000)))
    if draw(st.booleans()):
        found["neurocore"]["weight_formats"] = [1, 3, 4, 6, 8]
    height, width, per_tile = (draw(st.integers(1, 4)) for _ in range(3))
    neurocores = draw(st.integers(1, height * width * per_tile))
    found["mesh"] |= {
        "height": height,
        "width": width,
        "neurocores_per_tile": per_tile,
        "neurocores": neurocores,
    }
    found["board"] |= {
        "height": draw(st.integers(1, 6)),
        "width": draw(st.integers(1, 6)),
    }
    return found


def mapped(case: Case, chip: dict[str, Any]) -> MappedNetwork:
    target = target_from_table(chip, "drawn.toml")
    return place(partition(retime(case.graph, target), target), target)


@given(case=cases(max_timesteps=3, may_be_long=False), chip=chips())
@examples(60)
def test_what_the_rules_let_through_holds(case: Case, chip: dict[str, Any]) -> None:
    network = mapped(case, chip)
    problems = [*Checker(network, chip).problems()]

    try:
        check_rules(network)
    except FitError:
        assert problems
        return

    assert problems == []
    TALLY.add("mappings = checker", 0, len(network.cores))


@given(case=cases(max_timesteps=6, may_be_long=False), chip=chips())
@examples(20)
def test_network_run_through_its_axon_tables_spikes_like_the_oracle(
    case: Case, chip: dict[str, Any]
) -> None:
    network = mapped(case, chip)
    n = case.n_timesteps + network.graph.depth
    settings: dict[str, Any] = {"n_timesteps": case.n_timesteps}
    plain = Oracle(network.graph, case.stimuli[0], **settings)
    on_cores = MappedOracle(network.graph, case.stimuli[0], **settings)
    on_cores.lay_out(network)

    sent = Checker(network, chip).sent()
    for name, routes in network.routes.items():
        packets = routes.packets.sum(axis=1)[routes.kinds.of_neurons]
        assert packets.tolist() == [sent[name, i] for i in range(len(packets))]
    for _ in range(n):
        plain.step()
        on_cores.step()

    assert on_cores.history == plain.history
    assert on_cores.voltage == plain.voltage
    TALLY.add("spikes through axon tables = oracle", n, len(network.cores))


def test_checker_finds_a_neuron_that_is_missing_and_numbers_that_are_wrong() -> None:
    graph = integers(
        [population("a", (4,))], [dense("input", "a", np.ones((4, 3)))], shape=(3,)
    )
    network = mapped(Case(graph=graph, stimuli=()), table())
    (core,) = network.cores
    (piece,) = core.pieces
    cut = replace(core, pieces=(replace(piece, neurons=piece.neurons[1:]),))
    object.__setattr__(network, "cores", (cut,))

    found = [*Checker(network, table()).problems()]

    assert found[0] == "a: not every neuron lies on one neurocore"
    assert "72, 'input_axons': 1" in found[1]  # 3 * 3 weights
    assert "it says (96, 1, 0)" in found[1]


def test_neurons_that_read_only_padding_keep_no_kernel() -> None:
    kernel = ConvSynapses(
        weights=np.full((1, 1, 1, 1), 2),
        stride=(1, 1),
        padding=(0, 1),
        dilation=(1, 1),
        groups=1,
    )
    graph = integers(
        [population("a", (1, 1, 3))],
        [dense("input", "a", [[2]], synapses=kernel)],
        shape=(1, 1, 1),
    )
    chip = table()
    chip["neurocore"]["compartments"] = 1

    network = mapped(Case(graph=graph, stimuli=()), chip)

    assert [core.pieces[0].synapse_bits for core in network.cores] == [0, 8, 0]
    assert [*Checker(network, chip).problems()] == []

"""fit: every limit of every layer, every problem at once, and what would help."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy import cli
from snn_deploy.artifact import pack, write_artifact
from snn_deploy.chip.target import Board, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.fit import Fit, fit, fit_compiled
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.torch.file import write_model
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.nodes import Linear
from snn_deploy.ir.stimuli import Encoding
from tests.build import chain, conv, integrator, lif, linear

RATE = Training(timesteps=4, encoding=Encoding.RATE)


PLAIN = {
    "neurons_per_axon": 1,
    "index_bits": 0,
    "block_header_bits": 0,
    "memory_word_bits": 1,
}


def loihi1(**limits: Any) -> Target:
    """Return one such chip with plain axons and plain memory."""
    target = replace(read_target("loihi1"), board=Board())
    return replace(target, neurocore=replace(target.neurocore, **(PLAIN | limits)))


def fitting() -> Graph:
    return chain(
        conv("conv", (2, 8, 8), 4),
        lif("hidden", (4, 8, 8)),
        conv("second", (4, 8, 8), 3),
        lif("last", (3, 8, 8)),
        training=RATE,
    )


def failing() -> Graph:
    """Return a network that fails five ways: see the test."""
    return chain(
        conv("conv", (2, 8, 8), 4),
        lif("first", (4, 8, 8), reset=Reset.SOFT),
        conv("wide", (4, 8, 8), 300, kernel=(3, 3)),
        lif("many", (300, 8, 8)),
        conv("deep", (300, 8, 8), 2),
        lif("last", (2, 8, 8)),
    )


def texts(found: Fit) -> list[str]:
    return [str(problem) for problem in found.problems]


def test_network_that_fits_has_no_problem_and_the_cores_it_gets() -> None:
    found = fit(fitting(), loihi1())

    compiled = compile_model(fitting(), loihi1()).graph
    network = place(partition(compiled, loihi1()), loihi1())
    assert found.problems == ()
    assert found.n_cores == len(network.cores)
    assert found.least_cores == found.n_cores
    for layer in found.layers:
        cores = [
            core for core in network.cores if core.pieces[0].population == layer.name
        ]
        taken = [core.taken(loihi1().neurocore) for core in cores]
        for use in layer.uses:
            assert use.used == max(amounts[use.what] for amounts in taken)


def test_what_fits_where_layers_share_neurocores_fits() -> None:
    alone = fit(fitting(), loihi1(compartments=500))
    one = replace(loihi1(compartments=500), board=Board())
    target = replace(one, mesh=replace(one.mesh, neurocores=1))

    found = fit(fitting(), target)

    assert (alone.n_cores, found.n_cores) == (2, 1)
    assert found.problems == ()
    assert len(compile_model(fitting(), target).cores) == 1


def test_least_cores_are_the_ceiling_of_the_binding_resource() -> None:
    found = fit(fitting(), loihi1(compartments=100))

    first, last = found.layers
    assert first.binding.what == "compartments"
    assert first.binding.least_cores == 3  # 256 neurons
    assert last.binding.least_cores == 2  # 192 neurons
    assert found.least_cores == 5
    assert found.n_cores >= 5


def test_every_problem_is_told_at_once_with_figures() -> None:
    target = loihi1(input_axons=2000, synaptic_memory_bits=20000, compartments=64)
    target = replace(target, mesh=replace(target.mesh, neurocores=100))

    found = texts(fit(failing(), target))

    assert len(found) == 5
    assert "direct encoding sends graded spikes" in found[0]
    assert found[1].startswith("first: soft reset")
    assert found[2].startswith("last: one neuron takes 21,600 bits of synaptic memory")
    assert "277 of its 300 input channels would fit" in found[2]
    assert "one neuron takes 2,700 input axons, a neurocore has 2,000" in found[3]
    assert "222 of its 300 input channels would fit" in found[3]
    assert (
        "neurocores, allowed are 100; most take layer many: 300 (compartments)"
        in found[4]
    )


def test_fans_of_a_neuron_are_limits_that_no_cut_helps() -> None:
    graph = chain(
        linear("fc", 250, 40), lif("hidden", (40,)),
        linear("more", 40, 30), lif("out", (30,)), training=RATE,
    )  # fmt: skip

    assert fit(graph, loihi1(fan_in=250, fan_out=30)).problems == ()
    found = fit(graph, loihi1(fan_in=200, fan_out=20))

    first, second = texts(found)
    assert first == (
        "hidden: one neuron takes 250 synapses of fan-in, allowed are 200; 200 of its "
        "250 inputs would fit: pool, or use fewer, before it"
    )
    assert second == (
        "hidden: one neuron takes 30 synapses of fan-out, allowed are 20; 67% of the "
        "channels or neurons behind it would fit, or a smaller kernel there"
    )
    assert found.least_cores is None
    free = fit(graph, loihi1()).layers[0].uses
    assert not any("fan" in use.what for use in free)


def test_advice_is_right_for_a_convolution_and_for_a_dense_layer() -> None:
    limit = loihi1(input_axons=100)
    dense = chain(linear("fc", 250, 5), lif("out", (5,)), training=RATE)

    (problem,) = fit(dense, limit).problems
    assert "100 of its 250 inputs would fit" in problem.advice
    smaller = chain(linear("fc", 100, 5), lif("out", (5,)), training=RATE)
    assert not fit(smaller, limit).problems

    deep = chain(conv("c", (20, 5, 5), 2), lif("out", (2, 5, 5)), training=RATE)
    (problem,) = fit(deep, limit).problems
    assert "11 of its 20 input channels" in problem.advice
    shallow = chain(conv("c", (11, 5, 5), 2), lif("out", (2, 5, 5)), training=RATE)
    assert not fit(shallow, limit).problems


def test_delay_over_the_limit_is_a_problem() -> None:
    target = loihi1()
    target = replace(target, precision=replace(target.precision, delay_max=3))
    late = replace(lif("hidden", (4,)), axon_delay=np.array([0.0, 1.0, 2.0, 9.0]))
    graph = chain(
        linear("in", 3, 4), late, linear("out", 4, 2), lif("last", (2,)), training=RATE
    )

    (problem,) = fit(graph, target).problems

    assert "needs a delay of 9, loihi1 allows 3" in problem.what


def test_sender_to_too_many_neurocores_is_told_what_to_do() -> None:
    graph = chain(
        linear("in", 3, 50), lif("hidden", (50,)), linear("out", 50, 40),
        lif("last", (40,)), training=RATE,
    )  # fmt: skip

    found = fit(graph, loihi1(compartments=2, output_axons=10))

    (problem,) = [p for p in found.problems if "output axons" in p.what]
    assert problem.where == "hidden"
    assert "fewer neurocores" in problem.advice


def test_integrator_without_weights_of_its_own_is_a_layer_too() -> None:
    graph = chain(linear("in", 3, 4), integrator("sum", (4,)), training=RATE)

    (layer,) = fit(graph, loihi1()).layers

    assert layer.name == "sum"


def test_untrained_weights_give_the_same_answer() -> None:
    trained = fitting()
    weights = trained.node("conv")
    assert not isinstance(weights, Linear)
    blank = trained.replace(weights, by=conv("conv", (2, 8, 8), 4, seed=9))

    assert fit(blank, loihi1()) == fit(trained, loihi1())


def test_command_prints_table_problems_and_where_it_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    write_model(failing(), path)

    status = cli.main(["fit", str(path), "--target", "loihi1"])

    printed = capsys.readouterr()
    assert status == 1
    assert "neurocores; cut layer by layer, at least" in printed.out
    assert printed.out.count("does not fit: ") == 2
    assert "for 2 reasons; it fits loihi-sim, loihi2" in printed.err


def test_command_prints_json_and_succeeds_where_all_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    write_model(fitting(), path)

    status = cli.main(["fit", str(path), "--target", "loihi1", "--json"])

    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert found["problems"] == []
    assert found["layers"][0]["uses"][0]["what"] == "compartments"
    assert found["least_cores"] == found["n_cores"] == 2
    assert (found["n_chips"], found["n_chips_allowed"]) == (1, 32)
    assert found["n_cores_of_chip"] == 128


def test_chips_are_named_and_a_board_that_is_too_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    write_model(fitting(), path)  # 256 and 192 neurons
    text = (packaged_folder("targets") / "loihi1.toml").read_text(encoding="utf-8")
    for old, new in (
        ("compartments = 1024", "compartments = 16"),  # 16 and 12 neurocores
        ("neurocores = 128", "neurocores = 10"),  # 3 chips
        ("height = 4  # chips\nwidth = 8", "height = 2\nwidth = 1"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "small.toml").write_text(text, encoding="utf-8")
    large = text.replace("height = 2\nwidth = 1", "height = 3\nwidth = 1")
    (tmp_path / "large.toml").write_text(large, encoding="utf-8")

    fits = cli.main(["fit", str(path), "--target", str(tmp_path / "large.toml")])
    right = capsys.readouterr()
    small = cli.main(["fit", str(path), "--target", str(tmp_path / "small.toml")])
    wrong = capsys.readouterr()

    assert (fits, small) == (0, 1)
    assert "3 chips of 10 neurocores; the board of loihi1 holds 3" in right.out
    assert "3 chips of 10 neurocores; the board of loihi1 holds 2" in wrong.out
    assert "28 neurocores, allowed are 20" in wrong.out.replace("\n", " ")
    assert "a board of 3 chips" in wrong.out.replace("\n", " ")


def test_compiled_network_is_as_full_as_it_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = compile_model(fitting(), loihi1(), optimize="cores")
    path = tmp_path / "net.snn"
    write_artifact(pack(network), path)

    found = fit_compiled(network)
    status = cli.main(["fit", str(path)])
    own = capsys.readouterr().out
    moved = cli.main(["fit", str(path), "--target", "loihi2"])

    limits = network.target.neurocore
    (core,) = network.cores  # shared by both layers
    assert (found.n_cores, len(found.layers), found.problems) == (1, 2, ())
    for layer in found.layers:
        used = {use.what: use.used for use in layer.uses}
        assert used == core.taken(limits)
    assert (status, moved) == (0, 0)
    assert f"1 of {network.target.neurocores} neurocores" in own
    assert f"on {network.target.name}, each layer's fullest neurocore" in own
    assert "on loihi2, each layer's fullest neurocore" in capsys.readouterr().out

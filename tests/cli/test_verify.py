"""verify at the command line: tables, JSON, exit status, errors."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.artifact import pack, read_artifact, write_artifact
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.verify.result import LavaCheck
from tests.cli.conftest import MODEL, Command, Result
from tests.hostile.networks import write_all


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a folder with a small network: model.pt, model.snn, data.npz."""
    write_all(tmp_path)
    return tmp_path


def verify(
    command: Command, folder: Path, *more: object, network: str = "model.snn"
) -> Result:
    model, data = folder / "model.pt", folder / "data.npz"
    arguments = ["--against", model, "--data", data, "--lava", 0, *more]
    result: Result = command("verify", folder / network, *arguments)
    return result


def damage(folder: Path, graph: QuantizedGraph) -> None:
    """Write ``bad.snn``: the network, but with this graph, and a right checksum."""
    network = read_artifact(folder / "model.snn").network
    write_artifact(pack(replace(network, graph=graph)), folder / "bad.snn")


def with_a_flipped_weight(folder: Path) -> None:
    graph = read_artifact(folder / "model.snn").network.graph
    first, *rest = graph.projections
    weights = np.array(first.synapses.weights)
    weights[1, 0, 2, 1] *= -1
    flipped = replace(first, synapses=replace(first.synapses, weights=weights))
    damage(folder, replace(graph, projections=(flipped, *rest)))


def test_a_faithful_network_has_status_0_and_its_tables(
    command: Command, small: Path
) -> None:
    result = verify(command, small)

    assert (result.status, result.err) == (0, "")
    for text in (
        "float against chip, 3 inputs of 4 timesteps",
        "quantized parameters",
        "1 in float",
        "the integers are exactly what the model compiles to",
    ):
        assert text in result.out


def test_a_network_that_lies_elsewhere_is_faithful_too(
    command: Command, small: Path
) -> None:
    again = small / "cores.snn"
    model = small / "model.pt"
    assert command("compile", model, "--optimize", "cores", "-o", again).status == 0
    here, there = (read_artifact(small / name) for name in ("model.snn", again.name))
    assert here.sha256 != there.sha256

    assert verify(command, small, network=again.name).status == 0


def test_json_holds_everything(command: Command, small: Path) -> None:
    result = verify(command, small, "--json", "--limit", 2)

    found = json.loads(result.out)
    assert result.status == 0
    assert found["faithful"] is True
    assert found["n_inputs"] == 2
    assert found["differences"] == found["faults"] == []
    assert [layer["layer"] for layer in found["layers"]] == ["1", "3_sum"]
    assert {"first", "causes", "reproduced", "wraps"} <= set(found["layers"][0])
    assert [form["form"] for form in found["restored"]] == [
        "1 in float",
        "3_sum in float",
    ]


def test_a_flipped_weight_is_an_error_that_names_it(
    command: Command, small: Path
) -> None:
    with_a_flipped_weight(small)

    result = verify(command, small, network="bad.snn")

    assert result.status == 1
    assert "1 parameter is not what the model compiles to" in result.err
    assert "1: weights of input->1#0 [1, 0, 2, 1] is" in result.err
    assert result.err.count("\n") == 1
    assert "1 computes something else than the model compiles to: weights" in result.out


def test_a_flipped_weight_is_in_the_json_too(command: Command, small: Path) -> None:
    with_a_flipped_weight(small)

    result = verify(command, small, "--json", network="bad.snn")

    found = json.loads(result.out)
    assert result.status == 1
    assert found["faithful"] is False
    (difference,) = found["differences"]
    assert difference["layer"] == "1"
    assert difference["index"] == [1, 0, 2, 1]
    assert int(difference["found"]) == -int(difference["expected"])
    (fault,) = found["faults"]
    assert (fault["layer"], fault["causes"]) == ("1", ["weights"])
    assert fault["first"]["timestep"] == 1


def test_a_fault_that_no_input_shows_is_an_error_still(
    command: Command, small: Path
) -> None:
    graph = read_artifact(small / "model.snn").network.graph
    first, *rest = graph.populations
    higher = replace(first, threshold=first.threshold + 1)
    damage(small, replace(graph, populations=(higher, *rest)))
    np.savez(small / "data.npz", x=np.zeros((1, 1, 4, 4), np.uint8))

    result = verify(command, small, network="bad.snn")

    assert result.status == 1
    assert "1: threshold" in result.err
    assert "1: on these inputs the difference never shows" in result.out


def test_a_mismatch_with_lava_is_an_error(
    command: Command, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mismatch = "input 0: 1: timestep 2, neuron 0 1 1: spikes is 1 on Lava, 0 on the cpu"
    found = LavaCheck(n_inputs=1, n_values=9, mismatch=mismatch), ()
    monkeypatch.setattr(
        "snn_deploy.verify.verification.check_lava", lambda *arguments: found
    )

    result = verify(command, small)

    assert result.status == 1
    assert f"model.snn: {mismatch}; report this" in result.err


@pytest.mark.skipif(find_spec("lava") is None, reason="Lava is not installed")
def test_lava_computes_the_same(command: Command, small: Path) -> None:
    result = verify(command, small, "--lava", 1)

    assert result.status == 0
    assert "Lava: 1 input, all " in result.out


def test_a_model_of_another_structure_is_named(
    command: Command, small: Path, home: Path
) -> None:
    result = command(
        "verify", home / "plain.snn", "--against", small / "model.pt",
        "--data", home / "test.npz",
    )  # fmt: skip

    assert result.error() == (
        "mnist_lif: is not compiled from this model: the shape of the input is "
        "1x28x28, the model gives 1x4x4; give the model that it was compiled from"
    )


def test_a_model_of_other_weights_is_named(command: Command, small: Path) -> None:
    from snn_deploy.importers.registry import load_model
    from snn_deploy.importers.torch.file import write_model
    from snn_deploy.ir.nodes import Linear

    graph = load_model(small / "model.pt")
    (layer,) = graph.nodes_of(Linear)
    other = graph.replace(layer, by=replace(layer, weight=layer.weight * 1.5))
    write_model(other, small / "model.pt")

    result = verify(command, small)

    assert result.status == 1
    assert "not what the model compiles to, first 3_sum: " in result.err


def test_data_of_another_shape_are_refused(command: Command, small: Path) -> None:
    np.savez(small / "data.npz", x=np.zeros((2, 1, 5, 5), np.uint8))

    error = verify(command, small).error()

    assert "x has inputs of shape (1, 5, 5), the network takes (1, 4, 4)" in error


@pytest.mark.parametrize("name", ["model.snn", "model.pt", "data.npz"])
def test_a_missing_file_is_named(command: Command, small: Path, name: str) -> None:
    (small / name).unlink()

    error = verify(command, small).error()

    assert error == f"{small / name}: no such file; check the path"


def test_inputs_without_labels_are_compared_by_their_answers(
    command: Command, small: Path
) -> None:
    np.savez(small / "data.npz", x=np.zeros((2, 1, 4, 4), np.uint8))

    result = verify(command, small)

    assert result.status == 0
    assert "agreement with float" in result.out


def test_profile_puts_it_into_the_report(
    command: Command, home: Path, tmp_path: Path
) -> None:
    arguments = ["profile", home / "plain.snn", "--data", home / "test.npz",
                 "-o", tmp_path / "profile", "--cross-check", 0]  # fmt: skip

    result = command(*arguments, "--verify", MODEL)

    page = (tmp_path / "profile" / "report.html").read_text(encoding="utf-8")
    assert result.status == 0
    assert "Float against integers" in page
    assert "inherited from 2" in page
    assert (tmp_path / "profile" / "verification.json").is_file()

    command(*arguments)

    page = (tmp_path / "profile" / "report.html").read_text(encoding="utf-8")
    assert "Float against integers" not in page
    assert not (tmp_path / "profile" / "verification.json").exists()


def test_profile_of_a_network_with_a_fault_is_an_error(
    command: Command, small: Path
) -> None:
    with_a_flipped_weight(small)

    result = command(
        "profile", small / "bad.snn", "--data", small / "data.npz", "--no-cutoff",
        "-o", small / "profile", "--cross-check", 0, "--verify", small / "model.pt",
    )  # fmt: skip

    assert result.status == 1
    assert "weights of input-&gt;1#0 [1, 0, 2, 1]" in (
        small / "profile" / "report.html"
    ).read_text(encoding="utf-8")

"""``compile --one-pass``: a product like any other, offered where there is one."""

import json
from pathlib import Path

import pytest

from snn_deploy.artifact import read_artifact
from snn_deploy.files.writing import packaged_folder
from tests.cli.conftest import MODEL, N_TEST, Command, files_in

QCFS = packaged_folder("models") / "mnist_qcfs" / "model.pt"
OFFER = "its twin takes 1 timestep instead of 8, with graded spikes: compile --one-pass"


@pytest.fixture
def twin(command: Command, tmp_path: Path) -> Path:
    path = tmp_path / "twin.snn"
    result = command("compile", QCFS, "--target", "loihi2", "--one-pass", "-o", path)
    assert result.status == 0, result.err
    assert "one pass in place of 8 timesteps per input" in result.out
    assert OFFER not in result.out
    return path


def test_a_twin_is_offered_where_the_network_has_one(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "net.snn"

    offered = command("compile", QCFS, "--target", "loihi2", "-o", path)
    silent = command("compile", MODEL, "--target", "loihi2", "-o", path)

    assert OFFER in offered.out
    assert "--one-pass" not in silent.out


def test_a_twin_is_refused_layer_by_layer(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "net.snn"

    result = command("compile", MODEL, "--target", "loihi2", "--one-pass", "-o", path)

    first, *layers = result.err.splitlines()
    assert result.status == 1
    assert first == "error: mnist_lif: has no one-pass twin, for"
    assert layers[0].startswith("  2: its neurons leak, so that the order of spikes")
    assert layers[1].startswith("  2: resets hard")
    assert files_in(tmp_path) == []


def test_a_twin_does_not_replace_the_spiking_network(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    command("compile", QCFS, "--target", "loihi2")
    command("compile", QCFS, "--target", "loihi2", "--one-pass")

    assert files_in(tmp_path) == ["model.snn", "model_one_pass.snn"]


def test_a_twin_says_what_it_is(command: Command, twin: Path) -> None:
    result = command("inspect", twin)

    assert read_artifact(twin).network.graph.one_pass_of == 8
    assert "1 timesteps, pipeline depth 4" in result.out
    assert "one pass: the twin of a network of 8 timesteps" in result.out


def test_a_twin_is_profiled_with_a_packet_for_each_number(
    command: Command, home: Path, twin: Path, tmp_path: Path
) -> None:
    spiking = tmp_path / "spiking.snn"
    command("compile", QCFS, "--target", "loihi2", "-o", spiking)
    summaries = []
    for path in (twin, spiking):
        folder = tmp_path / path.stem
        data = ("--data", home / "test.npz", "-o", folder)
        result = command("profile", path, *data, "--cross-check", 1)
        assert result.status == 0, result.err
        summaries.append(json.loads((folder / "summary.json").read_text("utf-8")))

    one, other = summaries
    assert (one["one_pass_of"], one["timesteps"]) == (8, 1)
    assert (other["one_pass_of"], other["timesteps"]) == (0, 8)
    for name in ("mean_synaptic_operations", "mean_packets"):
        assert one["all_timesteps"][name] < other["all_timesteps"][name]
    assert one["all_timesteps"]["mean_chip_timesteps"] == 5
    assert one["n_inputs"] == N_TEST


def test_a_twin_runs_is_served_and_verified(
    command: Command, home: Path, twin: Path, tmp_path: Path
) -> None:
    data = home / "test.npz"
    folder = tmp_path / "stream"
    folder.mkdir()
    (folder / "a.npz").write_bytes(data.read_bytes())

    command("calibrate", twin, "--data", home / "calib.npz", "--budget", "0.05")
    ran = command("run", twin, "--data", data, "--index", "0-5", "--json")
    served = command("serve", twin, "--data", folder)
    verified = command("verify", twin, "--against", QCFS, "--data", data)

    assert ran.status == served.status == verified.status == 0
    for one, other in zip(ran.out.splitlines(), served.out.splitlines(), strict=True):
        assert json.loads(one)["prediction"] == json.loads(other)["prediction"]
    assert "the integers are exactly what the model compiles to" in verified.out

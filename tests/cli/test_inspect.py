from dataclasses import replace
from pathlib import Path

import pytest

from snn_deploy.artifact import read_artifact, sha256_of
from tests.cli.conftest import MODEL, Command


def test_inspect_shows_the_layers_of_a_model(command: Command) -> None:
    result = command("inspect", MODEL)

    assert result.status == 0
    for text in ("Conv2d", "BatchNorm", "Lif", "Linear", "16x12x12", "weight 10x2304"):
        assert text in result.out
    assert "8 timesteps, encoding direct, input x * 1 + 0" in result.out


def test_inspect_shows_a_compiled_network_its_neurocores_and_losses(
    command: Command, home: Path
) -> None:
    result = command("inspect", home / "plain.snn")

    assert result.status == 0
    for text in (
        "loihi-sim, sha256 ",
        "pipeline depth 4",
        "8192)",
        "ConvSynapses 16x1x5x5",
        "round weights",
        "not calibrated: runs all timesteps",
    ):
        assert text in result.out


def test_inspect_shows_what_the_numbers_mean(command: Command, home: Path) -> None:
    result = command("inspect", home / "plain.snn")

    for text in (
        "timestep: of no stated length; in each the current decays, arriving spikes",
        "a spike is sent and the voltage reset",
        "voltage > 64 *",
        "hard to 0",
        "refractory",
    ):
        assert text in result.out


def test_inspect_shows_the_calibration(command: Command, home: Path) -> None:
    result = command("inspect", home / "model.snn")

    assert "rule risk: stop once" in result.out
    assert "not calibrated" not in result.out


@pytest.mark.parametrize("name", ["model.pt", "model.snn"])
def test_a_missing_file_is_named(command: Command, tmp_path: Path, name: str) -> None:
    result = command("inspect", tmp_path / name)

    assert result.error() == f"{tmp_path / name}: no such file; check the path"


def test_inspect_draws_the_map(command: Command, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.svg"

    result = command("inspect", home / "plain.snn", "--map", path)

    assert result.status == 0
    assert f"wrote {path}" in result.out.replace("\n", "")
    text = path.read_text(encoding="utf-8")
    assert "by layer" in text
    assert "by utilization" in text
    assert "traffic" not in text


def test_map_of_a_profile_shows_its_traffic(
    command: Command, home: Path, tmp_path: Path
) -> None:
    folder, path = tmp_path / "profile", tmp_path / "map.svg"
    network = home / "plain.snn"
    data = ("--data", home / "test.npz", "--limit", 3, "--backend", "cpu")
    command("profile", network, *data, "-o", folder)

    result = command("inspect", network, "--map", path, "--profile", folder)

    assert result.status == 0
    text = path.read_text(encoding="utf-8")
    assert "by traffic: packets of an input" in text
    assert "by busy time of an input, modelled" in text
    summary = folder / "summary.json"
    summary.write_text(
        summary.read_text().replace('"network_sha256": "', '"network_sha256": "0')
    )
    other = command("inspect", network, "--map", path, "--profile", folder)
    assert "of another network; profile this one" in other.error()


def test_map_of_what_it_cannot_draw_is_refused(
    command: Command, home: Path, tmp_path: Path
) -> None:
    path, network = tmp_path / "map.svg", home / "plain.snn"

    for arguments, what in (
        ((MODEL, "--map", path), "show a compiled network, .snn; compile it"),
        ((MODEL, "--placement", path), "show a compiled network, .snn; compile it"),
        ((network, "--profile", tmp_path), "--profile colors a map; give --map"),
        ((network, "--map", path, "--profile", tmp_path), "has no summary.json"),
    ):
        assert what in command("inspect", *arguments).error()
    assert not path.exists()


def test_inputs_and_compiled_networks_are_no_models(
    command: Command, home: Path
) -> None:
    inputs = command("inspect", home / "test.npz").error()
    network = command("compile", home / "plain.snn", "--target", "loihi-sim").error()

    assert "holds inputs, no model; give the model, and this file as --data" in inputs
    assert "is compiled already; give the model that it was compiled" in network


def test_the_placement_of_a_network_compiles_to_the_same_network(
    command: Command, home: Path, tmp_path: Path
) -> None:
    places, first, second = (tmp_path / name for name in ("p.toml", "a.snn", "b.snn"))
    compiled = ("compile", MODEL, "--target", "loihi-sim")
    command(*compiled, "--optimize", "energy", "-o", first)

    shown = command("inspect", first, "--placement", places)
    result = command(*compiled, "--placement", places, "-o", second)

    assert f"wrote {places}" in shown.out
    assert result.status == 0
    one, two = (read_artifact(path) for path in (first, second))
    assert (one.network.goal, two.network.goal) == ("energy", "")
    assert sha256_of(replace(one.network, goal="")) == two.sha256
    lines = [command("inspect", path).out.splitlines() for path in (first, second)]
    assert "mapped for energy" in lines[0]
    assert "laid out by a placement" in lines[1]
    places.write_text(places.read_text(encoding="utf-8").replace("y = [", "y = [99, "))
    other = command(*compiled, "--placement", places, "-o", second)
    n = len(one.network.cores)
    wrong = f"placement: 'y' has {n + 1} numbers for {n} neurocores"
    assert wrong in other.error()

from pathlib import Path

import pytest

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

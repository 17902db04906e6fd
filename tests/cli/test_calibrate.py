import shutil
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.artifact import read_artifact
from tests.cli.conftest import N_CALIBRATION, Command, files_in


@pytest.fixture
def network(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(home / "plain.snn", tmp_path / "net.snn"))


def test_calibrate_writes_the_threshold_and_its_promise_into_the_network(
    command: Command, home: Path, network: Path
) -> None:
    before = read_artifact(network)

    result = command("calibrate", network, "--data", home / "calib.npz")

    calibration = read_artifact(network).calibration
    assert result.status == 0
    assert calibration is not None
    assert calibration.rule == "risk"
    assert calibration.n_inputs == N_CALIBRATION
    assert calibration.network_sha256 == before.sha256
    assert f"leads by more than {calibration.betas[0]:g}" in result.out
    assert "accuracy lost <= 0.01, with confidence 0.9" in result.out
    assert f"wrote {network}" in result.out
    assert files_in(network.parent) == ["net.snn"]


def test_too_few_inputs_promise_nothing_and_say_how_many_are_needed(
    command: Command, home: Path, network: Path
) -> None:
    result = command("calibrate", network, "--data", home / "test.npz")

    calibration = read_artifact(network).calibration
    assert calibration is not None
    assert not calibration.stops_early
    assert "never stops early" in result.out
    assert "at least 230 are needed" in result.out


def test_data_without_labels_bound_the_answers_that_change(
    command: Command, home: Path, network: Path, tmp_path: Path
) -> None:
    with np.load(home / "test.npz") as data:
        np.savez(tmp_path / "unlabelled.npz", x=data["x"])

    result = command("calibrate", network, "--data", tmp_path / "unlabelled.npz")

    assert result.status == 0
    assert "answers changed <= 0.01" in result.out


def test_the_published_rule_has_a_threshold_for_each_timestep(
    command: Command, home: Path, network: Path
) -> None:
    result = command(
        "calibrate", network, "--data", home / "test.npz", "--rule", "topk"
    )

    calibration = read_artifact(network).calibration
    assert result.status == 0
    assert calibration is not None
    assert calibration.betas.shape == (8,)
    assert "promise: none" in result.out


def test_the_published_rule_needs_labels(
    command: Command, home: Path, network: Path, tmp_path: Path
) -> None:
    content = network.read_bytes()
    with np.load(home / "test.npz") as data:
        np.savez(tmp_path / "unlabelled.npz", x=data["x"])

    result = command(
        "calibrate",
        network,
        "--data",
        tmp_path / "unlabelled.npz",
        "--rule",
        "topk",
    )

    assert "needs labels; add y to the data" in result.error()
    assert network.read_bytes() == content


@pytest.mark.parametrize("option", ["budget", "confidence"])
@pytest.mark.parametrize("value", ["0", "1", "-0.5", "1.5", "nan", "inf"])
def test_settings_out_of_range_are_refused(
    command: Command, home: Path, network: Path, option: str, value: str
) -> None:
    content = network.read_bytes()

    result = command(
        "calibrate", network, "--data", home / "test.npz", f"--{option}={value}"
    )

    error = result.error()
    assert error.startswith(f"{option} is ")
    assert "choose one between 0 and 1" in error
    assert network.read_bytes() == content


def test_calibrating_again_changes_no_bit_of_the_network(
    command: Command, home: Path, network: Path
) -> None:
    command("calibrate", network, "--data", home / "test.npz")
    first = network.read_bytes()

    command("calibrate", network, "--data", home / "test.npz")

    assert network.read_bytes() == first
    assert read_artifact(network).sha256 == read_artifact(home / "plain.snn").sha256

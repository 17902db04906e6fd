import json
from pathlib import Path

import numpy as np

from tests.cli.conftest import N_TEST, Command

KEYS = [
    "index",
    "label",
    "prediction",
    "timesteps",
    "chip_timesteps",
    "stopped_early",
    "gap",
    "scores",
    "backend",
]


def test_run_shows_the_outputs_of_every_timestep(command: Command, home: Path) -> None:
    result = command("run", home / "model.snn", "--data", home / "test.npz")

    assert result.status == 0
    assert result.err == ""
    assert "accumulated outputs" in result.out
    assert "of 8 timesteps, stopped early" in result.out
    assert "chip timesteps with the pipeline's 4" in result.out


def test_run_prints_json_and_nothing_else(command: Command, home: Path) -> None:
    result = command(
        "run", home / "model.snn", "--data", home / "test.npz", "--index", 2, "--json"
    )

    found = json.loads(result.out)
    assert list(found) == KEYS
    assert found["index"] == 2
    assert found["backend"] == "cpu"
    assert found["chip_timesteps"] == found["timesteps"] + 4
    scores = np.array(found["scores"])
    assert scores.shape == (found["timesteps"], 10)
    best = np.sort(scores[-1])
    assert found["prediction"] == scores[-1].argmax()
    assert found["gap"] == best[-1] - best[-2]


def test_without_the_cutoff_all_timesteps_run(command: Command, home: Path) -> None:
    arguments = ("run", home / "model.snn", "--data", home / "test.npz", "--json")

    stopped = json.loads(command(*arguments).out)
    full = json.loads(command(*arguments, "--no-cutoff").out)

    assert stopped["stopped_early"]
    assert not full["stopped_early"]
    assert full["timesteps"] == 8
    assert full["scores"][: stopped["timesteps"]] == stopped["scores"]


def test_a_network_that_is_not_calibrated_runs_all_timesteps_and_says_so(
    command: Command, home: Path
) -> None:
    result = command("run", home / "plain.snn", "--data", home / "test.npz")

    assert "after 8 of 8 timesteps, ran to the end" in result.out
    assert "no cutoff: snn-deploy calibrate finds its threshold" in result.out


def test_inputs_without_labels_run(
    command: Command, home: Path, tmp_path: Path
) -> None:
    with np.load(home / "test.npz") as data:
        np.savez(tmp_path / "x.npz", x=data["x"])

    found = command("run", home / "model.snn", "--data", tmp_path / "x.npz", "--json")

    assert json.loads(found.out)["label"] is None


def test_floats_mean_what_bytes_mean(
    command: Command, home: Path, tmp_path: Path
) -> None:
    with np.load(home / "test.npz") as data:
        np.savez(tmp_path / "x.npz", x=data["x"] / 255, y=data["y"])

    bytes_ = command("run", home / "model.snn", "--data", home / "test.npz", "--json")
    floats = command("run", home / "model.snn", "--data", tmp_path / "x.npz", "--json")

    assert floats.out == bytes_.out


def test_values_between_the_levels_are_said_to_be_rounded(
    command: Command, home: Path, tmp_path: Path
) -> None:
    with np.load(home / "test.npz") as data:
        x = data["x"] / 255
    x[0, 0, 0, :3] = 0.3001
    np.savez(tmp_path / "x.npz", x=x)

    result = command("run", home / "model.snn", "--data", tmp_path / "x.npz", "--json")

    assert json.loads(result.out)["index"] == 0
    assert f"note: {tmp_path / 'x.npz'}: 3 of {x.size} values lie" in result.err


def test_an_index_out_of_range_is_refused_with_the_range(
    command: Command, home: Path
) -> None:
    for index in (N_TEST, -1):
        result = command(
            "run", home / "model.snn", "--data", home / "test.npz", f"--index={index}"
        )

        assert f"there is no input {index}; choose 0 to {N_TEST - 1}" in result.error()

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.artifact import pack, read_artifact, write_artifact
from snn_deploy.ir.stimuli import input_hashes
from tests.cli.conftest import N_CALIBRATION, N_TEST, Command, files_in


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


def test_each_budget_has_a_row_and_needs_inputs(
    command: Command, home: Path, network: Path
) -> None:
    result = command("calibrate", network, "--data", home / "calib.npz")

    rows = [line.split() for line in result.out.splitlines() if " needs " in line]
    assert [(row[1], row[4]) for row in rows] == [
        ("0.001", "2,302"),
        ("0.002", "1,151"),
        ("0.005", "460"),
    ]
    assert "each row's promise holds alone" in result.out
    assert "where the budget is spent" in result.out


def test_a_budget_that_too_few_inputs_cannot_promise_is_refused(
    command: Command, home: Path, network: Path
) -> None:
    content = network.read_bytes()

    result = command(
        "calibrate", network, "--data", home / "calib.npz", "--budget", 0.002
    )

    assert result.error() == (
        "240 calibration inputs cannot promise a budget of 0.002: at least 1151 are "
        "needed; add inputs or allow more"
    )
    assert network.read_bytes() == content


@pytest.mark.parametrize(
    "rule",
    ["risk", "certain", "fixed:3", "retry:2", "confidence", "entropy", "spikecp"],
)
def test_every_rule_calibrates_and_runs(
    command: Command, home: Path, network: Path, rule: str
) -> None:
    result = command("calibrate", network, "--data", home / "calib.npz", "--rule", rule)

    assert result.status == 0, result.err
    calibration = read_artifact(network).calibration
    assert calibration is not None
    assert calibration.rule == rule.partition(":")[0]
    run = command("run", network, "--data", home / "test.npz", "--json")
    assert json.loads(run.out)["timesteps"] in calibration.looks
    inspected = command("inspect", network)
    assert f"rule {calibration.rule}: " in inspected.out


@pytest.mark.parametrize("rule", ["fixed", "retry", "risk:3", "fixed:x", "luck"])
def test_rules_that_do_not_exist_are_refused(
    command: Command, home: Path, network: Path, rule: str
) -> None:
    result = command("calibrate", network, "--data", home / "calib.npz", "--rule", rule)

    assert result.status == 2
    assert "; choose" in result.err
    assert rule in result.err


def test_the_poll_interval_is_part_of_the_calibration(
    command: Command, home: Path, network: Path
) -> None:
    command("calibrate", network, "--data", home / "calib.npz", "--poll", 3)

    calibration = read_artifact(network).calibration
    assert calibration is not None
    assert calibration.looks.tolist() == [3, 6, 8]
    found = json.loads(
        command("run", network, "--data", home / "test.npz", "--json").out
    )
    assert found["timesteps"] in (3, 6, 8)


def test_a_poll_interval_over_the_timesteps_is_refused(
    command: Command, home: Path, network: Path
) -> None:
    result = command("calibrate", network, "--data", home / "calib.npz", "--poll", 9)

    assert result.error() == (
        "poll interval is 9, an input lasts 8 timesteps; choose 1 to 8"
    )


def test_a_score_is_chosen_on_one_half_and_certified_on_the_other(
    command: Command, home: Path, network: Path
) -> None:
    arguments = ("calibrate", network, "--data", home / "calib.npz")

    result = command(*arguments, "--score", "best", "--budget", 0.02)

    calibration = read_artifact(network).calibration
    assert calibration is not None
    assert calibration.n_inputs == N_CALIBRATION / 2
    assert f"score {calibration.score}, chosen on 120 of the inputs" in result.out


def test_the_table_may_show_the_other_half(
    command: Command, home: Path, network: Path
) -> None:
    arguments = ("calibrate", network, "--data", home / "calib.npz", "--split")

    result = command(*arguments, "--budget", 0.02)

    assert "rule risk on 120 inputs" in result.out
    assert "over the draw of the 120 calibration inputs" in result.out


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


@pytest.mark.parametrize("goal", ["energy", "latency"])
def test_the_cheapest_way_to_serve_is_chosen_on_one_half(
    command: Command, home: Path, network: Path, goal: str
) -> None:
    arguments = ("calibrate", network, "--data", home / "calib.npz", "--budget", 0.05)

    result = command(*arguments, "--optimize", goal)

    calibration = read_artifact(network).calibration
    assert result.status == 0, result.err
    assert calibration is not None
    assert calibration.n_inputs == N_CALIBRATION / 2
    assert f"for {goal}, chosen on 120 of the inputs" in result.out
    pays = "the cutoff pays: " in result.out
    assert pays != (f"no cutoff pays for {goal}: " in result.out)
    assert pays == (calibration.rule in ("risk", "retry"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--monitor", "host"), "--monitor says who polls for --optimize; leave it"),
        (
            ("--promise", "expectation", "--confidence", 0.99),
            "--confidence is not part of a promise on average; leave it out",
        ),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    command: Command, home: Path, network: Path, options: tuple[Any, ...], message: str
) -> None:
    result = command("calibrate", network, "--data", home / "calib.npz", *options)

    assert message in result.error()


def test_labels_of_other_inputs_are_doubted(
    command: Command, home: Path, network: Path, tmp_path: Path
) -> None:
    arrays = dict(np.load(home / "calib.npz"))
    shifted = tmp_path / "shifted.npz"
    np.savez(shifted, **{**arrays, "y": (arrays["y"] + 1) % 10})
    told = "check the order of the labels"

    calibrated = command("calibrate", network, "--data", shifted, "--budget", "2%")
    profiled = command(
        "profile", network, "--data", shifted, "--limit", 12, "--backend", "cpu",
        "-o", tmp_path / "profile",
    )  # fmt: skip
    right = command(
        "calibrate", network, "--data", home / "calib.npz", "--budget", "2%"
    )

    assert (told in calibrated.err, told in profiled.out) == (True, True)
    assert "guesses among 10 classes 10.0% would be" in profiled.out
    assert told not in right.err


def test_inputs_that_repeat_others_are_counted(
    command: Command, home: Path, network: Path, tmp_path: Path
) -> None:
    with np.load(home / "calib.npz") as data:
        x, y = data["x"][:30], data["y"][:30]
    path = tmp_path / "copies.npz"
    np.savez(path, x=np.concatenate([x] * 10), y=np.concatenate([y] * 10))

    result = command("calibrate", network, "--data", path)
    alone = command("calibrate", network, "--data", home / "calib.npz")

    assert f"note: {path}: 270 of 300 inputs are exact copies of others; " in result.err
    assert "copies" not in alone.err


def test_a_retry_is_two_streams_in_table_and_files(
    command: Command, home: Path, network: Path, tmp_path: Path
) -> None:
    command("calibrate", network, "--data", home / "calib.npz", "--rule", "retry:2")
    folder = tmp_path / "profile"

    result = command(
        "profile",
        network,
        "--data",
        home / "test.npz",
        "-o",
        folder,
        "--backend",
        "cpu",
    )

    summary = json.loads((folder / "summary.json").read_text())
    text = "2 timesteps, the undecided again for 8, streamed"
    assert result.status == 0, result.err
    assert summary["schedules"]["cutoff"]["text"] == text
    assert summary["cutoff"]["looks"] == [2, 8]
    timesteps = summary["with_cutoff"]["mean_timesteps"]
    assert (timesteps - 2) / 8 * N_TEST == pytest.approx(
        N_TEST - N_TEST * summary["with_cutoff"]["stopped_early"]
    )


def test_what_is_to_be_optimized_cannot_be_given(
    command: Command, home: Path, network: Path
) -> None:
    arguments = ("calibrate", network, "--data", home / "calib.npz")

    result = command(*arguments, "--optimize", "energy", "--poll", 2)

    assert "leave out --rule, --poll and --split" in result.error()


def test_inputs_that_the_network_was_made_with_are_refused(
    command: Command, home: Path, network: Path
) -> None:
    artifact = read_artifact(network)
    with np.load(home / "calib.npz") as data:
        used = input_hashes(data["x"][:7])
    graph = replace(artifact.network.graph, used_inputs=used)
    write_artifact(pack(replace(artifact.network, graph=graph)), network)

    result = command("calibrate", network, "--data", home / "calib.npz")

    assert (
        "7 of 240 calibration inputs are exact copies of ones used to train"
        in result.error()
    )

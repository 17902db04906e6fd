import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import N_CALIBRATION, N_TEST, Command


@pytest.fixture
def stream(home: Path, tmp_path: Path) -> Path:
    """Return a folder with the calibration's inputs, turned upside down, 3 times."""
    folder = tmp_path / "stream"
    folder.mkdir()
    with np.load(home / "calib.npz") as data:
        for number in range(3):
            x = data["x"][:, :, ::-1, ::-1]
            np.savez(folder / f"{number}.npz", x=x, y=data["y"])
    return folder


def test_a_folder_is_served_one_line_for_each_input(
    command: Command, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "stream"
    folder.mkdir()
    (folder / "a.npz").write_bytes((home / "test.npz").read_bytes())

    result = command("serve", home / "model.snn", "--data", folder)

    assert result.status == 0
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["index"] for line in lines] == list(range(N_TEST))
    run = command(
        "run",
        home / "model.snn",
        "--data",
        home / "test.npz",
        "--index",
        "0-5",
        "--json",
    )
    for line, other in zip(lines, run.out.splitlines(), strict=True):
        expected = json.loads(other)
        assert line["source"] == "a.npz"
        for name in ("label", "prediction", "timesteps", "chip_timesteps", "gap"):
            assert line[name] == expected[name]
    assert f"served {N_TEST} inputs in" in result.err
    assert "too few inputs to compare" in result.err


def test_a_file_is_served_with_its_accuracy(command: Command, home: Path) -> None:
    arguments = ("serve", home / "model.snn", "--data", home / "calib.npz")

    result = command(*arguments)

    lines = [json.loads(line) for line in result.out.splitlines()]
    n_right = sum(line["label"] == line["prediction"] for line in lines)
    assert len(lines) == N_CALIBRATION
    assert N_CALIBRATION / 2 < n_right < N_CALIBRATION
    assert f" on average, {100 * n_right / N_CALIBRATION:.1f} % right; " in result.err
    assert "no folder to wait in" in command(*arguments, "--follow").error()


def test_arrays_on_standard_input_are_served(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    with np.load(home / "test.npz") as data:
        for x in data["x"]:
            np.save(written, x)
    written.seek(0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(written)))

    result = command("serve", home / "model.snn", "--data", "-")

    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["index"] for line in lines] == list(range(N_TEST))
    assert {line["label"] for line in lines} == {None}


def test_an_audit_without_labels_is_said_to_tell_nothing(
    command: Command, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "stream"
    folder.mkdir()
    with np.load(home / "test.npz") as data:
        np.savez(folder / "x.npz", x=data["x"])
    arguments = ("serve", home / "model.snn", "--data", folder)

    audited = command(*arguments, "--audit", 1)
    profiled = command(
        "profile", home / "model.snn", "--data", folder / "x.npz", "--audit", 1,
        "-o", tmp_path / "profile",
    )  # fmt: skip

    assert audited.err.count("x.npz: audited, but without a label it is unknown") == 1
    assert "x.npz: --audit needs labels y to see what is lost" in profiled.error()
    assert "audited, but" not in command(*arguments).err


def test_a_stream_that_drifts_alarms(
    command: Command, home: Path, stream: Path
) -> None:
    result = command("serve", home / "model.snn", "--data", stream)

    assert result.status == 0
    assert len(result.out.splitlines()) == 3 * N_CALIBRATION
    assert "alarm: scores differ from those of the calibration" in result.err


def test_a_drift_may_end_the_stream_with_a_status_of_its_own(
    command: Command, home: Path, stream: Path
) -> None:
    result = command("serve", home / "model.snn", "--data", stream, "--fail-on-drift")

    assert result.status == 3
    assert len(result.out.splitlines()) == 500  # the window that told


def test_a_stream_that_is_interrupted_says_what_was_served(
    command: Command, home: Path, stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt  # while it waits for further files

    monkeypatch.setattr("snn_deploy.data.streams.time.sleep", sleep)

    result = command("serve", home / "model.snn", "--data", stream, "--follow")

    assert result.status == 130
    assert len(result.out.splitlines()) == 3 * N_CALIBRATION
    assert f"served {3 * N_CALIBRATION} inputs in" in result.err
    assert result.err.endswith("interrupted\n")


def test_audited_inputs_run_all_timesteps(
    command: Command, home: Path, stream: Path
) -> None:
    result = command(
        "serve", home / "model.snn", "--data", stream, "--audit", 0.5, "--fail-on-drift"
    )

    lines = [json.loads(line) for line in result.out.splitlines()]
    audited = [line["timesteps"] for line in lines if line["audited"]]
    assert len(audited) > 100
    assert set(audited) == {8}
    assert result.status == 3
    assert "audit: " in result.err


def test_bad_streams_are_refused(command: Command, home: Path, tmp_path: Path) -> None:
    network = home / "model.snn"

    missing = command("serve", network, "--data", tmp_path / "none")
    uncalibrated = command("serve", home / "plain.snn", "--data", tmp_path)
    share = command("serve", network, "--data", tmp_path, "--audit", 2)
    poll = command("serve", network, "--data", tmp_path, "--poll", 9)

    assert missing.error().endswith("none: no such folder; check the path")
    assert "is not calibrated; run snn-deploy calibrate" in uncalibrated.error()
    assert share.error() == "audit is 2; choose a share from 0 to 1"
    assert "poll interval is 9" in poll.error()

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.artifact import pack, write_artifact
from snn_deploy.compiler.pipeline import compile_model
from tests.build import chain, lif, linear, rng, simulator
from tests.cli.conftest import N_TEST, Command

KEYS = [
    "index",
    "label",
    "targets",
    "prediction",
    "timesteps",
    "chip_timesteps",
    "stopped_early",
    "gap",
    "scores",
    "values",
    "saturations",
    "wraps",
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


def test_several_inputs_run_in_a_row(command: Command, home: Path) -> None:
    arguments = ("run", home / "model.snn", "--data", home / "test.npz", "--json")

    result = command(*arguments, "--index", "4,0,2-3")

    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["index"] for line in lines] == [4, 0, 2, 3]
    for line in lines:
        single = command(*arguments, f"--index={line['index']}")
        assert json.loads(single.out) == line


def test_watching_prints_a_line_for_each_timestep(command: Command, home: Path) -> None:
    network, data = home / "model.snn", home / "test.npz"
    expected = json.loads(
        command("run", network, "--data", data, "--json", "--no-cutoff").out
    )

    result = command("run", network, "--data", data, "--watch", "--no-cutoff")

    lines = result.out.splitlines()
    assert len(lines) == 8
    energies = []
    for t, (line, scores) in enumerate(zip(lines, expected["scores"], strict=True), 1):
        assert line.startswith(f"input 0 (label {expected['label']}): timestep {t}, ")
        assert f"answer {np.argmax(scores)}, " in line
        assert line.endswith("outputs " + " ".join(map(str, scores)))
        energies.append(float(line.partition("energy so far ")[2].split()[0]))
    assert energies == sorted(energies)
    assert energies[0] > 0


def test_watching_stops_where_the_cutoff_does_one_input_after_the_other(
    command: Command, home: Path
) -> None:
    network, data = home / "model.snn", home / "test.npz"
    runs = command("run", network, "--data", data, "--index", "0-5", "--json").out
    expected = [json.loads(line)["timesteps"] for line in runs.splitlines()]

    result = command("run", network, "--data", data, "--index", "0-5", "--watch")

    lines = result.out.splitlines()
    shown = [sum(line.startswith(f"input {i} ") for line in lines) for i in range(6)]
    assert shown == expected
    assert "threshold" in lines[0]


def test_polling_rarely_stops_at_polled_timesteps(command: Command, home: Path) -> None:
    result = command(
        "run", home / "model.snn", "--data", home / "test.npz", "--poll", 4, "--json"
    )

    assert json.loads(result.out)["timesteps"] in (4, 8)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "--poll", 2), "--poll"),
        (("profile", "--poll", 2), "--poll"),
        (("profile", "--audit", 0.5, "--fail-on-drift"), "--audit, --fail-on-drift"),
    ],
)
def test_what_asks_about_a_cutoff_needs_one(
    command: Command, home: Path, tmp_path: Path, arguments: tuple[Any, ...], named: str
) -> None:
    name, *options = arguments
    data: tuple[Any, ...] = ("--data", home / "test.npz")
    if name == "profile":
        data = (*data, "-o", tmp_path / "profile")

    off = command(name, home / "model.snn", *data, *options, "--no-cutoff")
    plain = command(name, home / "plain.snn", *data, *options)

    assert off.error() == (
        f"{named}: --no-cutoff leaves no cutoff to look at; leave out the one or the "
        "other"
    )
    assert "plain.snn: the network is not calibrated; run" in plain.error()


def test_calibration_inputs_are_counted_in_a_note(command: Command, home: Path) -> None:
    result = command(
        "run",
        home / "model.snn",
        "--data",
        home / "calib.npz",
        "--index",
        "3-5",
        "--json",
    )

    assert (
        "calib.npz: 3 of 3 inputs are exact copies of ones that the cutoff"
        in result.err
    )


def test_a_position_that_is_none_is_a_wrong_command_line(
    command: Command, home: Path
) -> None:
    result = command("run", home / "model.snn", "--data", "x.npz", "--index", "1,two")

    assert result.status == 2
    assert "'two' is not an input; give positions from 0" in result.err


def test_watching_a_terminal_redraws_it(
    monkeypatch: pytest.MonkeyPatch, command: Command, home: Path
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    result = command(
        "run", home / "model.snn", "--data", home / "test.npz", "--watch", "--no-cutoff"
    )

    assert result.status == 0
    assert "accumulated outputs" in result.out
    assert "█" in result.out
    assert "energy so far" in result.out


def test_the_reference_runs_without_the_engine_and_gives_the_same(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("run", home / "plain.snn", "--data", home / "test.npz", "--json")
    expected = json.loads(command(*asked).out)

    def loaded(*arguments: object) -> None:
        raise AssertionError("the engine is loaded")

    monkeypatch.setattr("snn_deploy.backends.engine.cpu.load_engine", loaded)
    result = command(*asked, "--backend", "reference")

    assert json.loads(result.out) == {**expected, "backend": "reference"}
    assert result.err == ""


@pytest.fixture(scope="module")
def one_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network of one output, and inputs with labels."""
    folder = tmp_path_factory.mktemp("one_output")
    graph = chain(linear("fc1", 6, 4), lif("a", (4,)), linear("fc2", 4, 1))
    write_artifact(pack(compile_model(graph, simulator())), folder / "one.snn")
    x = rng(1).random((8, 6))
    np.savez(folder / "data.npz", x=x, y=np.arange(8) % 2)
    return folder


def test_one_output_is_a_value_and_no_class(command: Command, one_output: Path) -> None:
    asked = ("run", one_output / "one.snn", "--data", one_output / "data.npz")

    table, found = command(*asked), json.loads(command(*asked, "--json").out)
    watched = command(*asked, "--watch")

    value = found["scores"][-1][0]
    assert f"output {value}, a value and no class, after" in table.out
    assert "answer" not in table.out + watched.out
    assert "calibrate" not in table.out
    assert (found["prediction"], found["gap"], found["label"]) == (None, None, None)
    assert "one output, so it answers with a value and no class; the" in table.err


def test_all_commands_say_the_same_of_one_output(
    command: Command, one_output: Path, tmp_path: Path
) -> None:
    asked = (one_output / "one.snn", "--data", one_output / "data.npz")

    profiled = command("profile", *asked, "-o", tmp_path / "p")
    calibrated = command("calibrate", *asked)

    assert profiled.status == 0
    assert "no cutoff: the network has one output, a value and no class" in profiled.out
    assert "snn-deploy calibrate" not in profiled.out
    assert calibrated.status == 1
    assert "the network has one output, so there is no answer" in calibrated.err
    for result in (profiled, calibrated):
        assert "one output, so it answers with a value and no class; the" in result.err


@pytest.mark.parametrize("recorded", [(), ("--record", "spikes", "-o", "trace.npz")])
def test_dark_bytes_are_told(
    command: Command,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recorded: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("dark.npz", x=np.full((2, 1, 28, 28), 16, np.uint8))

    result = command("run", home / "plain.snn", "--data", "dark.npz", *recorded)

    assert result.status == 0
    assert "note: dark.npz: the bytes of x reach to 16, and 255 stands" in result.err

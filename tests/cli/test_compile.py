import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snn_deploy.artifact import read_artifact
from snn_deploy.files.writing import packaged_folder
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.profile.traffic import read_traffic
from tests.cli.conftest import MODEL, Command, files_in
from tests.importers.builders import network


def test_compile_writes_the_network_and_says_where_it_fits(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "net.snn"

    result = command("compile", MODEL, "--target", "loihi-sim", "-o", path)

    assert result.status == 0
    assert result.err == ""
    network = read_artifact(path).network
    n = len(network.cores)
    assert n > 10
    assert f"5770 neurons on {n} of 128 neurocores of loihi-sim" in result.out
    assert re.search(
        rf"mapped for energy: {n} neurocores, \S+ µJ an input and \S+ µs a timestep, "
        r"modelled if a tenth of the neurons spike; --optimize latency: the same; "
        r"--optimize cores: 1, \S+ µJ an input and \S+ µs a timestep\n",
        result.out,
    )
    assert "8 timesteps per input" in result.out
    assert f"wrote {path}" in result.out
    assert files_in(tmp_path) == ["net.snn"]
    assert read_artifact(path).network.graph.training.timesteps == 8


def test_the_default_output_has_the_name_of_the_model_in_the_working_folder(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = command("compile", MODEL, "--target", "loihi2")

    assert result.status == 0
    assert files_in(tmp_path) == ["model.snn"]


def test_timesteps_replace_those_of_the_training(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "net.snn"

    command("compile", MODEL, "--target", "loihi-sim", "-o", path, "--timesteps", 3)

    assert read_artifact(path).network.graph.training.timesteps == 3


def test_strict_lists_every_lossy_step_and_writes_nothing(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "net.snn"

    result = command("compile", MODEL, "--target", "loihi-sim", "-o", path, "--strict")

    first, *steps = result.err.splitlines()
    assert result.status == 1
    assert "--strict allows no lossy step, but there are 9; " in first
    assert len(steps) == 9
    assert steps[0].startswith("  2: round bias, 16 values")
    assert files_in(tmp_path) == []


def test_allow_permits_lossy_steps_by_kind(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "net.snn"
    arguments = ("compile", MODEL, "--target", "loihi-sim", "-o", path, "--strict")

    refused = command(*arguments, "--allow", "round weights")
    permitted = command(*arguments, "--allow", "round weights,round bias,floor sums")

    assert refused.status == 1
    assert "no lossy step but round weights, but there are 5; " in refused.err
    assert "round bias" in refused.err
    assert permitted.status == 0
    assert files_in(tmp_path) == ["net.snn"]


def test_an_unknown_kind_of_lossy_step_is_refused(command: Command) -> None:
    result = command("compile", MODEL, "--target", "loihi-sim", "--allow", "magic")

    assert result.status == 2
    assert "no lossy step is called 'magic'; choose from round weights," in result.err


def test_an_existing_network_is_replaced_whole(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "net.snn"
    path.write_text("something old")

    result = command("compile", MODEL, "--target", "loihi-sim", "-o", path)

    assert result.status == 0
    assert files_in(tmp_path) == ["net.snn"]
    assert read_artifact(path).calibration is None


def test_compiling_twice_gives_the_same_bytes(command: Command, home: Path) -> None:
    again = home / "again.snn"

    command("compile", MODEL, "--target", "loihi-sim", "-o", again)

    assert again.read_bytes() == (home / "plain.snn").read_bytes()


BUILDER = "tests.importers.builders:network"


def test_a_bare_state_dict_is_compiled_with_its_builder(
    command: Command, tmp_path: Path
) -> None:
    torch.save(network().state_dict(), tmp_path / "weights.pt")
    options = ("--target", "loihi-sim", "-o", tmp_path / "net.snn", "--timesteps", 4)
    told = ("--builder", BUILDER, "--input-shape", "1,8,8", "--encoding", "rate")

    result = command("compile", tmp_path / "weights.pt", *options, *told)

    assert result.status == 0, result.err
    graph = read_artifact(tmp_path / "net.snn").network.graph
    assert graph.source.shape == (1, 8, 8)
    assert graph.training.encoding is Encoding.RATE


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ((), 1, "--builder package.module:function"),
        (("--builder", BUILDER), 1, "give --input-shape 1,28,28 and --timesteps"),
        (("--builder", BUILDER, "--input-shape", "1,x"), 2, "'1,x' is not a shape"),
        (("--builder", BUILDER, "--input-shape", "0,8"), 2, "'0,8' is not a shape"),
        (
            ("--trust-pickle", "--input-shape", "1,8,8", "--timesteps", 4),
            1,
            "no module",
        ),
    ],
)
def test_what_a_bare_state_dict_lacks_is_told(
    command: Command,
    tmp_path: Path,
    options: tuple[object, ...],
    status: int,
    words: str,
) -> None:
    path = tmp_path / "weights.pt"
    torch.save(network().state_dict(), path)

    result = command(
        "compile", path, "--target", "loihi-sim", "-o", tmp_path / "n.snn", *options
    )

    assert result.status == status
    assert words in result.err
    assert files_in(tmp_path) == ["weights.pt"]


def test_a_network_that_takes_several_chips_says_how_many(
    command: Command, tmp_path: Path
) -> None:
    text = (packaged_folder("targets") / "loihi-sim.toml").read_text(encoding="utf-8")
    small = tmp_path / "small.toml"
    small.write_text(text.replace("neurocores = 128", "neurocores = 2"))

    compiled = ("compile", MODEL, "--target", small, "-o", tmp_path / "n.snn")
    result = command(*compiled, "--optimize", "latency")

    assert "5770 neurons on 4 of 4 neurocores of 2 chips loihi-sim" in result.out


@pytest.mark.parametrize(("goal", "n_cores"), [("latency", 10), ("cores", 1)])
def test_optimize_uses_many_neurocores_or_few(
    command: Command, tmp_path: Path, goal: str, n_cores: int
) -> None:
    path = tmp_path / "net.snn"

    result = command(
        "compile", MODEL, "--target", "loihi-sim", "--optimize", goal, "-o", path
    )

    assert result.status == 0
    found = len(read_artifact(path).network.cores)
    assert found > n_cores if goal == "latency" else found == n_cores


@pytest.mark.parametrize(
    ("name", "key", "shape"),
    [("mnist_lif", "x", (1, 28, 28)), ("nmnist_lif", "spikes", (12, 2, 34, 34))],
)
def test_goals_take_less_of_what_they_name_than_few_neurocores(
    command: Command, tmp_path: Path, name: str, key: str, shape: tuple[int, ...]
) -> None:
    model = packaged_folder("models") / name / "model.pt"
    values = np.random.default_rng(0).random((4, *shape)) < 0.1
    arrays: dict[str, Any] = {key: values.astype(np.uint8)}
    np.savez(tmp_path / "x.npz", **arrays)
    means = {}
    for goal in ("energy", "latency", "cores"):
        net, folder = tmp_path / f"{goal}.snn", tmp_path / goal
        chosen = ("--optimize", goal, "-o", net)
        command("compile", model, "--target", "loihi-sim", *chosen)
        result = command("profile", net, "--data", tmp_path / "x.npz", "-o", folder)
        assert result.status == 0
        means[goal] = json.loads((folder / "summary.json").read_text())["schedules"]

    for schedule in ("serial", "streamed"):
        energy, time, cores = (means[goal][schedule] for goal in means)
        assert 2 * energy["mean_energy_j"] < cores["mean_energy_j"]
        assert 5 * time["mean_latency_s"] < cores["mean_latency_s"]


def test_without_prices_for_energy_few_neurocores_are_taken_and_that_is_said(
    command: Command, tmp_path: Path
) -> None:
    text = (packaged_folder("targets") / "loihi-sim.toml").read_text(encoding="utf-8")
    start, end = text.index("[cost.static]"), text.index("[cost.reset]")
    target, path = tmp_path / "chip.toml", tmp_path / "net.snn"
    target.write_text(text[:start] + text[end:], encoding="utf-8")

    result = command("compile", MODEL, "--target", target, "-o", path)
    asked = command(
        "compile", MODEL, "--target", target, "-o", path, "--optimize", "energy"
    )

    lacks = "for energy loihi-sim lacks power of static"
    said = f"mapped for cores: 1 neurocore; {lacks}, "
    assert re.search(said + r"\S+ µs a timestep, modelled", result.out)
    assert f"; {lacks}, which counts as 0, " in asked.out
    assert read_artifact(path).network.goal == "energy"


def test_traffic_of_another_network_with_the_same_layers_is_refused(
    command: Command, home: Path, tmp_path: Path
) -> None:
    profile, other = tmp_path / "profile", tmp_path / "other.snn"
    asked = ("--data", home / "test.npz", "--detail", "-o", profile)
    assert command("profile", home / "plain.snn", *asked).status == 0
    told = ("--target", "loihi-sim", "--traffic", profile, "-o", other)

    refused = command("compile", MODEL, *told, "--timesteps", 3).error()

    assert "its spikes are those of another network than mnist_lif" in refused
    assert not other.exists()


def test_traffic_comes_from_a_detailed_profile(
    command: Command, home: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    told = command(
        "profile", home / "plain.snn", "--data", home / "test.npz", "--detail",
        "-o", profile,
    )  # fmt: skip
    assert told.status == 0, told.err

    result = command(
        "compile", MODEL, "--target", "loihi-sim", "--traffic", profile,
        "--time-budget", "5", "-o", tmp_path / "net.snn",
    )  # fmt: skip

    assert result.status == 0
    assert read_traffic(profile).spikes.keys() >= {
        p.name for p in read_artifact(tmp_path / "net.snn").network.graph.populations
    }


def test_traffic_and_time_that_cannot_be_are_refused(
    command: Command, tmp_path: Path
) -> None:
    compile_it = ("compile", MODEL, "--target", "loihi-sim", "-o", tmp_path / "n.snn")

    error = command(*compile_it, "--traffic", tmp_path / "none").error()
    results = [
        command(*compile_it, "--time-budget", n) for n in ("0", "-1", "nan", "x")
    ]
    (tmp_path / "detail.parquet").write_text("no table")
    broken = command(*compile_it, "--traffic", tmp_path).error()

    assert "detail.parquet: no such file; give the folder" in error
    assert [result.status for result in results] == [2] * 4
    assert "--time-budget: 0 is not a number over 0" in results[0].err
    assert "--time-budget: -1 is not a number over 0" in results[1].err
    assert "--time-budget: x is not a number over 0" in results[3].err
    assert "no table of a profile" in broken
    assert files_in(tmp_path) == ["detail.parquet"]


def test_dump_writes_each_stage_as_text(command: Command, tmp_path: Path) -> None:
    arguments = ("compile", MODEL, "--target", "loihi-sim", "-o", tmp_path / "n.snn")

    result = command(*arguments, "--dump", tmp_path / "stages")

    assert result.status == 0

    found = sorted(path.name for path in (tmp_path / "stages").iterdir())
    assert found == [
        "1-read.txt", "2-neurons.txt", "3-spiking.txt", "4-integers.txt",
        "5-retimed.txt", "6-mapped.txt",
    ]  # fmt: skip
    text = (tmp_path / "stages" / "6-mapped.txt").read_text(encoding="utf-8")
    assert sum(line.startswith("neurocore ") for line in text.splitlines()) > 10


def test_the_calibration_of_the_same_network_is_kept(
    command: Command, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.snn"
    path.write_bytes((home / "model.snn").read_bytes())

    result = command("compile", MODEL, "--target", "loihi-sim", "-o", path)

    assert f"kept the calibration of {path}: the network is the same" in result.out
    assert path.read_bytes() == (home / "model.snn").read_bytes()
    again = ("compile", MODEL, "--target", "loihi-sim", "-o", path)
    assert (
        f"dropped the calibration of {path}"
        in command(*again, "--drop-calibration").out
    )
    assert read_artifact(path).calibration is None


def test_another_network_is_not_written_over_a_calibrated_one(
    command: Command, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.snn"
    path.write_bytes((home / "model.snn").read_bytes())
    again = ("compile", MODEL, "--target", "loihi-sim", "--timesteps", 3, "-o", path)

    refused = command(*again).error()

    assert f"{path}: holds another network with its calibration, which" in refused
    assert path.read_bytes() == (home / "model.snn").read_bytes()
    dropped = command(*again, "--drop-calibration")
    assert f"dropped the calibration of {path}" in dropped.out
    assert read_artifact(path).calibration is None
    assert read_artifact(path).network.graph.training.timesteps == 3

import json
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.cli import main
from tests.cli.conftest import N_TEST, Command


@pytest.fixture(scope="module")
def folders(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with profiles: early, full, few (of two inputs), turned."""
    folder = tmp_path_factory.mktemp("diff")
    with np.load(home / "test.npz") as data:
        turned = {"x": data["x"][:, :, ::-1], "y": data["y"]}
        np.savez(folder / "turned.npz", **turned)
    for name, *options in (
        ("early",),
        ("full", "--no-cutoff"),
        ("few", "--limit", "2"),
        ("turned", "--data", str(folder / "turned.npz")),
    ):
        data = [] if "--data" in options else ["--data", str(home / "test.npz")]
        arguments = ["--backend", "cpu", "-o", str(folder / name), *data, *options]
        assert main(["profile", str(home / "model.snn"), *arguments]) == 0
    return folder


def test_all_timesteps_take_more_of_everything(command: Command, folders: Path) -> None:
    result = command("diff", folders / "early", folders / "full")

    assert result.status == 0
    assert f"{N_TEST} inputs, each with itself" in result.out
    assert "no cutoff" in result.out
    energies = ("energy, static", "energy, up to the board")
    for text in ("accuracy", "timesteps", *energies, "latency"):
        assert text in result.out
    assert "µJ" in result.out
    assert "modelled" in result.out


def test_a_profile_does_not_differ_from_itself(command: Command, folders: Path) -> None:
    result = command("diff", folders / "early", folders / "early", "--json")

    found = json.loads(result.out)
    assert found["is_paired"]
    for name, change in found["changes"].items():
        if name == "energy_injection":  # has no price
            assert change["difference"] is None
            continue
        assert change["difference"]["mean"] == 0, name


def test_the_means_are_those_of_the_summaries(command: Command, folders: Path) -> None:
    result = command("diff", folders / "early", folders / "full", "--json")

    found = json.loads(result.out)
    for side, name in (("before", "early"), ("after", "full")):
        summary = json.loads((folders / name / "summary.json").read_text())
        means = summary["with_cutoff"] or summary["all_timesteps"]
        for metric, key in (("energy", "energy_j"), ("timesteps", "timesteps")):
            mean = found["changes"][metric][side]
            assert mean == pytest.approx(means[f"mean_{key}"])
        assert found["profiles"][side]["network"] == summary["network"]


@pytest.mark.parametrize(
    ("conditions", "failed"),
    [
        (["energy>+5%"], ["energy>+5%"]),
        (["energy<-5%"], []),
        (["timesteps>+100", "latency>+1us", "accuracy<-0.5"], ["latency>+1us"]),
    ],
)
def test_a_change_that_must_not_be_ends_with_status_3(
    command: Command, folders: Path, conditions: list[str], failed: list[str]
) -> None:
    options = [part for text in conditions for part in ("--fail-if", text)]

    result = command("diff", folders / "early", folders / "full", *options)

    assert result.status == (3 if failed else 0)
    assert result.err == "".join(f"failed: {text}\n" for text in failed)
    again = command("diff", folders / "early", folders / "full", *options, "--json")
    assert again.status == result.status
    assert json.loads(again.out)["failed"] == failed


def test_fewer_inputs_are_told(command: Command, folders: Path) -> None:
    result = command("diff", folders / "early", folders / "few")

    assert "2 inputs, each with itself; 4 inputs that only one of them" in result.out


def test_other_inputs_are_not_paired_and_that_is_told(
    command: Command, folders: Path
) -> None:
    result = command("diff", folders / "early", folders / "turned")

    assert f"{N_TEST} of {N_TEST} inputs at the same position differ" in result.out


def test_a_wrong_condition_is_a_wrong_command_line(
    command: Command, folders: Path
) -> None:
    result = command(
        "diff", folders / "early", folders / "full", "--fail-if", "energy>5%"
    )

    assert result.status == 2
    assert "5 has no sign; a change has one: write energy>+5%" in result.err


def test_what_is_no_profile_is_refused(
    command: Command, folders: Path, home: Path
) -> None:
    result = command("diff", home / "model.snn", folders / "full")

    assert "no such folder; give one that profile has written" in result.error()

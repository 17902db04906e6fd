"""sweep: every way as its own commands give it, kept, and compared."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.cli import main
from snn_deploy.errors import DataError, TargetError
from snn_deploy.profile import sweep_file
from snn_deploy.profile.sweep import (
    GOALS,
    Bench,
    Outcome,
    one_by_one,
    run_sweep,
    unbeaten,
)
from snn_deploy.profile.sweep_file import Point, read_sweep
from tests.hostile.networks import SHAPE, write_model

TEXT = """
model = "model.pt"
calibration = "calib.npz"
data = "test.npz"
[vary]
weight_bits = [8, 3]
timesteps = [4, 2]
budget = [0.05, 0.2]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small network, inputs, and what to vary."""
    folder = tmp_path_factory.mktemp("sweep")
    write_model(folder / "model.pt")
    rng = np.random.default_rng(0)
    for name, n in (("calib", 300), ("test", 60)):
        x = rng.integers(0, 256, (n, *SHAPE)).astype(np.uint8)
        np.savez(folder / f"{name}.npz", x=x, y=rng.integers(0, 3, n))
    (folder / "sweep.toml").write_text(TEXT)
    return folder


@pytest.fixture(scope="module")
def outcomes(home: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return run_sweep(read_sweep(home / "sweep.toml"), tmp_path_factory.mktemp("ways"))


def test_every_way_of_the_lists_is_tried(outcomes: list[Outcome]) -> None:
    ways = [(o["weight_bits"], o["timesteps"], o["budget"]) for o in outcomes]

    expected = [(b, t, p) for b in (8, 3) for t in (4, 2) for p in (0.05, 0.2)]
    assert ways == expected
    assert {outcome["target"] for outcome in outcomes} == {"loihi-sim"}


def test_a_way_gives_what_its_own_commands_give(
    home: Path, outcomes: list[Outcome], tmp_path: Path
) -> None:
    """A target of 3 bits, 2 timesteps and 20 %, by hand."""
    text = (Path(__file__).parents[2] / "targets" / "loihi-sim.toml").read_text()
    target, network = tmp_path / "few.toml", tmp_path / "n.snn"
    target.write_text(text.replace("weight_bits = 8", "weight_bits = 3"))
    model, data = str(home / "model.pt"), str(home / "test.npz")
    arguments = ["--target", str(target), "--timesteps", "2", "-o", str(network)]
    assert main(["compile", model, *arguments]) == 0
    calibration = ["--data", str(home / "calib.npz"), "--budget", "0.2"]
    assert main(["calibrate", str(network), *calibration]) == 0
    profile = [str(network), "--data", data, "-o", str(tmp_path / "p")]
    assert main(["profile", *profile, "--backend", "cpu"]) == 0

    summary = json.loads((tmp_path / "p" / "summary.json").read_text())
    early, full = summary["with_cutoff"], summary["all_timesteps"]
    found = outcomes[-1]

    assert found["accuracy"] == early["accuracy"]
    assert found["mean_timesteps"] == early["mean_timesteps"]
    assert found["energy_j"] == early["mean_energy_j"]
    assert found["latency_s"] == early["mean_latency_s"]
    assert found["accuracy_all_timesteps"] == full["accuracy"]
    assert found["energy_all_timesteps_j"] == full["mean_energy_j"]
    assert found["n_inputs"] == 60


def test_what_is_kept_is_not_measured_again(
    home: Path, outcomes: list[Outcome], tmp_path: Path
) -> None:
    sweep = read_sweep(home / "sweep.toml")
    run_sweep(replace(sweep, vary=replace(sweep.vary, weight_bits=(8,))), tmp_path)
    kept = sorted(tmp_path.iterdir())
    kept[0].write_text(kept[0].read_text()[:-9])  # cut short: measured again
    asked: list[Point] = []

    def measure(bench: Bench, points: Any) -> Any:
        asked.extend(points)
        return one_by_one(bench, points)

    assert run_sweep(sweep, tmp_path, measure) == outcomes
    assert len(asked) == len(sweep.points) - 3


def test_another_network_or_other_inputs_are_measured_anew(
    home: Path, tmp_path: Path
) -> None:
    sweep = read_sweep(home / "sweep.toml")
    other = tmp_path / "other.npz"
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (20, *SHAPE)).astype(np.uint8)
    np.savez(other, x=x, y=rng.integers(0, 3, 20))
    names = [
        Bench(changed).name(sweep.points[0])
        for changed in (
            sweep,
            replace(sweep, data=other),
            replace(sweep, calibration=other),
            replace(sweep, limit=7),
            replace(sweep, confidence=0.8),
        )
    ]

    assert len(set(names)) == len(names)


def test_a_way_that_cannot_be_is_told_and_the_rest_goes_on(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.toml").write_text(
        TEXT.replace('"model', f'"{home}/model')
        .replace('"calib', f'"{home}/calib')
        .replace('"test', f'"{home}/test')
        .replace("[vary]", 'limit = 9\n[vary]\ntarget = ["loihi1", "loihi-sim"]')
    )

    status = main(["sweep", str(tmp_path / "s.toml"), "-o", str(tmp_path / "out")])

    said = capsys.readouterr()
    assert status == 0
    assert "8 ways on loihi1: " in said.err
    assert "direct encoding sends graded spikes, loihi1 has none" in said.err
    with (tmp_path / "out" / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["refusal"] == "" for row in rows] == [False] * 8 + [True] * 8
    assert {row["n_inputs"] for row in rows[8:]} == {"9"}
    assert "<svg" in (tmp_path / "out" / "sweep.svg").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model =", "modle =", "unknown key 'modle'; did you mean 'model'?"),
        ("weight_bits", "bits", "[vary]: unknown key 'bits'; choose from "),
        ("budget = [0.05, 0.2]", 'budget = ["x"]', "[vary]: 'budget' is ['x']; give a"),
        (
            "timesteps = [4, 2]",
            "timesteps = [0]",
            "is [0]; give a list of whole numbers, over 0",
        ),
        (
            "timesteps = [4, 2]",
            "timesteps = [true]",
            "is [True]; give a list of whole numbers",
        ),
        ("timesteps = [4, 2]", "timesteps = []", "[vary]: gives 0 ways; give 1 to"),
        ('data = "test.npz"', "", "has no 'data'; add it"),
        ("[vary]", "[vary", "not a TOML file"),
        (
            "weight_bits = [8, 3]",
            "weight_bits = [9]",
            "'weight_bits' is [9]; give a list of whole numbers, 2 or more",
        ),
        (
            "budget = [0.05, 0.2]",
            "budget = [2]",
            "is [2]; give a list of numbers, over 0 and",
        ),
        ("[vary]", "limit = -1\n[vary]", "'limit' is -1; give a whole number, over 0"),
    ],
)
def test_what_means_nothing_is_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new))

    with pytest.raises(DataError) as error:
        read_sweep(path)

    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_misspelled_target_is_found_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(TEXT.replace("[vary]", '[vary]\ntarget = ["loihi7"]'))

    with pytest.raises(TargetError, match="loihi7"):
        read_sweep(path)


def test_too_many_ways_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_file, "MOST_POINTS", 7)

    with pytest.raises(DataError, match="gives 8 ways; give 1 to 7"):
        read_sweep(home / "sweep.toml")


def made_up(values: tuple[int, ...], refusal: str = "") -> Outcome:
    point = Point(target="t", weight_bits=8, timesteps=1, budget=0.1)
    return {
        **asdict(point),
        "refusal": refusal,
        **dict(zip(GOALS, values, strict=True)),
    }


@given(st.lists(st.tuples(*[st.integers(0, 3)] * len(GOALS)), max_size=12))
def test_unbeaten_is_what_the_definition_says(values: list[tuple[int, ...]]) -> None:
    found = unbeaten([made_up(v) for v in values])

    signs = [1 if more else -1 for more in GOALS.values()]
    worths = [tuple(s * x for s, x in zip(signs, v, strict=True)) for v in values]
    for mine, is_unbeaten in zip(worths, found, strict=True):
        beaten = any(
            all(o >= m for o, m in zip(other, mine, strict=True)) and other != mine
            for other in worths
        )
        assert is_unbeaten == (not beaten)


def test_a_refused_way_beats_nothing_and_is_beaten() -> None:
    good, refused = made_up((1, 2, 2, 2, 2)), made_up((9, 0, 0, 0, 0), "does not fit")

    assert unbeaten([good, refused]) == [True, False]

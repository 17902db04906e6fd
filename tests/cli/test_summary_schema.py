"""summary.json of real profiles of every kind is what its schema says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from snn_deploy.cli import main
from snn_deploy.files.writing import packaged_folder
from snn_deploy.profile.tables import SCHEMA
from tests.build import rng
from tests.cli.conftest import MODEL, Command

Summary = dict[str, Any]
Profiled = Callable[..., Summary]
EVENTS = packaged_folder("models") / "nmnist_lif" / "model.pt"


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    text = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(text)
    return Draft202012Validator(text)


@pytest.fixture
def profiled(home: Path, tmp_path: Path, schema: Draft202012Validator) -> Profiled:
    """Return a function that profiles and checks the summary."""

    def run(*options: object, network: Path = home / "model.snn", **x: Any) -> Summary:
        with np.load(home / "test.npz") as data:
            arrays = x or {"x": data["x"][:3], "y": data["y"][:3]}
            np.savez(tmp_path / "data.npz", **arrays)
        texts = [str(option) for option in options]
        data = ["--data", str(tmp_path / "data.npz"), "--cross-check", "0"]
        folder = tmp_path / "p"
        assert main(["profile", str(network), *data, "-o", str(folder), *texts]) == 0
        found: Summary = json.loads((folder / "summary.json").read_text())
        problems = [e.message for e in schema.iter_errors(found)]
        assert not problems
        return found

    return run


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--no-cutoff",),
        ("--limit", 1),
        ("--monitor", "host", "--poll", 2),
        ("--targets", "loihi1,loihi2"),
        ("--detail", "--csv"),
        ("--audit", 1),
    ],
    ids=str,
)
def test_options(profiled: Profiled, options: tuple[object, ...]) -> None:
    profiled(*options)


def test_no_labels(profiled: Profiled, home: Path) -> None:
    with np.load(home / "test.npz") as data:
        found = profiled(x=data["x"][:2])

    assert found["accuracy_at_timestep"] == []
    assert found["with_cutoff"]["accuracy"] is None


def test_all_inputs_of_one_class(profiled: Profiled, home: Path) -> None:
    with np.load(home / "test.npz") as data:
        found = profiled(x=data["x"][:4], y=np.full(4, 7))

    assert 0 <= found["with_cutoff"]["accuracy"] <= 1


@pytest.mark.parametrize("rule", ["retry:2", "certain", "fixed:3"])
def test_other_rules(
    profiled: Profiled, command: Command, home: Path, tmp_path: Path, rule: str
) -> None:
    network = tmp_path / "model.snn"
    network.write_bytes((home / "plain.snn").read_bytes())
    calibrated = command(
        "calibrate", network, "--data", home / "calib.npz", "--rule", rule
    )
    if calibrated.status:  # a rule that this read-out has not
        pytest.skip(calibrated.err)

    assert profiled(network=network)["cutoff"]["rule"] == rule.partition(":")[0]


def test_a_target_without_costs_gives_counters_and_says_once_what_is_unknown(
    profiled: Profiled,
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (packaged_folder("targets") / "loihi-sim.toml").read_text(encoding="utf-8")
    (tmp_path / "bare.toml").write_text(text[: text.index("[cost.")], encoding="utf-8")
    network = tmp_path / "bare.snn"
    command("compile", MODEL, "--target", tmp_path / "bare.toml", "-o", network)

    found = profiled("--full", network=network)

    means = found["all_timesteps"]
    assert means["mean_spikes"] > 0
    assert means["mean_energy_j"] is None
    assert means["mean_latency_s"] is None
    assert means["throughput_per_s"] is None
    assert set(found["best_schedule"].values()) == {None}
    assert len(found["unknown"]) == len(set(found["unknown"])) > 10
    shown = capsys.readouterr().out
    assert "synaptic operations" in shown
    assert "latency" not in shown
    assert shown.count("unknown, and left out: energy of access") == 1
    assert shown.count("unknown") == 2  # and which schedule is best


def test_packets_from_chip_to_chip(
    profiled: Profiled,
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (packaged_folder("targets") / "loihi-sim.toml").read_text(encoding="utf-8")
    small = text.replace("neurocores = 128", "neurocores = 2", 1)
    small = small.replace("compartments = 8192", "compartments = 1024", 1)
    (tmp_path / "small.toml").write_text(small, encoding="utf-8")
    network = tmp_path / "small.snn"
    command("compile", MODEL, "--target", tmp_path / "small.toml", "-o", network)

    found = profiled("--detail", "--full", network=network)

    n = sum(link["mean_packets"] for link in found["links"])
    assert n == pytest.approx(found["all_timesteps"]["mean_crossings"])
    assert n > 0
    assert {"energy of chip_crossing", "time of chip_crossing"} < {*found["unknown"]}
    assert "from chip to chip" in capsys.readouterr().out


def test_events(profiled: Profiled, command: Command, tmp_path: Path) -> None:
    network = tmp_path / "events.snn"
    command("compile", EVENTS, "--target", "loihi1", "-o", network)
    shape = (2, 12, 2, 34, 34)
    spikes = (rng(1).random(shape) < 0.02).astype(np.uint8)

    found = profiled("--targets", "loihi2", network=network, spikes=spikes)

    assert found["neurobench"]["all_timesteps"]["synaptic_operations"][
        "Effective_MACs"
    ] == pytest.approx(0)
    assert [t["refusal"] for t in found["targets"]] == ["", ""]


def test_the_schema_refuses_what_it_does_not_know(
    profiled: Profiled, schema: Draft202012Validator
) -> None:
    found = profiled("--limit", 1)

    assert not schema.is_valid({**found, "more": 1})
    assert not schema.is_valid({k: v for k, v in found.items() if k != "schedules"})
    assert not schema.is_valid({**found, "backend": "gpu"})
    assert not schema.is_valid({**found, "n_inputs": 0})

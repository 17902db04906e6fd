"""The demonstration, on a few digits: the whole job takes a minute."""

from pathlib import Path

import numpy as np
import pytest

from snn_deploy.artifact import read_artifact
from snn_deploy.data.datasets import Split, load_split
from tests.cli.conftest import Command, files_in


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_split("mnist5k")
    few = Split(
        train=whole.train.take(np.arange(0)),
        calibration=whole.calibration.take(np.arange(20)),
        test=whole.test.take(np.arange(10)),
    )
    monkeypatch.setattr("snn_deploy.data.datasets.load_split", lambda name: few)
    monkeypatch.setattr("snn_deploy.verify.crosscheck.is_installed", lambda name: False)


@pytest.mark.usefixtures("few_digits")
def test_the_demo_leaves_everything_to_go_on_from(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = command("demo")
    again = command("run", "demo/model.snn", "--data", "demo/test.npz", "--index", 7)

    assert result.status == again.status == 0
    assert set(files_in(tmp_path / "demo")) >= {
        "calib.npz",
        "test.npz",
        "model.snn",
        "profile",
    }
    assert (tmp_path / "demo" / "profile" / "report.html").is_file()
    calibration = read_artifact(tmp_path / "demo" / "model.snn").calibration
    assert calibration is not None
    assert calibration.n_inputs == 20
    for text in ("mnist_counts", "mnist_lif", "mnist_qcfs", "accuracy, float"):
        assert text in result.out
    assert " run demo/model.snn --data demo/test.npz --index 7" in result.out


@pytest.mark.usefixtures("few_digits")
def test_the_demo_can_be_repeated(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snn_deploy.cli.demo.MAIN_MODEL", "mnist_lif")
    monkeypatch.setattr("snn_deploy.cli.demo.OTHER_MODELS", ())
    first = command("demo", "-o", tmp_path)
    network = (tmp_path / "model.snn").read_bytes()

    second = command("demo", "-o", tmp_path)

    assert second.out == first.out
    assert (tmp_path / "model.snn").read_bytes() == network


def test_a_file_where_the_demo_should_lie_is_refused(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "demo").touch()

    result = command("demo", "-o", tmp_path / "demo")

    assert result.error() == f"{tmp_path / 'demo'}: is a file; give a folder"

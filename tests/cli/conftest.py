"""A trained network, compiled once, and a few digits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.cli import main
from snn_deploy.data.datasets import load_split
from snn_deploy.files.writing import packaged_folder

MODEL = packaged_folder("models") / "mnist_lif" / "model.pt"
N_TEST, N_CALIBRATION = 6, 240


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command line gave."""

    status: int
    out: str
    err: str

    def error(self) -> str:
        """Return the one line of the error."""
        assert self.status == 1, self
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        assert "; " in self.err, self.err  # what is wrong; what to do
        return self.err[len("error: ") : -1]


Command = Callable[..., Result]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs one command line."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            status = int(exit_.code or 0)
        written = capsys.readouterr()
        return Result(status=status, out=written.out, err=written.err)

    return run


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, calibrated and not, and digits.

    ``plain.snn``, ``model.snn`` (calibrated), ``test.npz`` and ``calib.npz``.
    """
    folder = tmp_path_factory.mktemp("home")
    split = load_split("mnist5k")
    for name, part, n in (
        ("test", split.test, N_TEST),
        ("calib", split.calibration, N_CALIBRATION),
    ):
        np.savez(folder / f"{name}.npz", x=part.x[:n], y=part.y[:n])
    for name in ("plain", "model"):
        arguments = ["compile", str(MODEL), "--target", "loihi-sim"]
        assert main([*arguments, "-o", str(folder / f"{name}.snn")]) == 0
    data = str(folder / "calib.npz")
    assert main(["calibrate", str(folder / "model.snn"), "--data", data]) == 0
    return folder


def files_in(folder: Path) -> list[str]:
    """Return the names of everything in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())

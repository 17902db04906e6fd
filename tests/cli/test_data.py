"""The command ``data``: what a data set by name holds for the other commands."""

from pathlib import Path

import numpy as np

from snn_deploy.data.datasets import load_split
from tests.cli.conftest import Command


def test_data_are_written_as_other_commands_read_them(
    command: Command, tmp_path: Path
) -> None:
    result = command("data", "mnist5k", "-o", tmp_path / "new")

    assert result.status == 0, result.err
    split = load_split("mnist5k")
    for name, part in (("calib", split.calibration), ("test", split.test)):
        with np.load(tmp_path / "new" / f"{name}.npz") as file:
            np.testing.assert_array_equal(file["x"], part.x)
            np.testing.assert_array_equal(file["y"], part.y)


def test_missing_files_leave_nothing_behind(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "new"

    error = command("data", "cifar10", "--data-dir", tmp_path, "-o", folder).error()

    assert "has no CIFAR-10; expected data_batch_1.bin" in error
    assert not folder.exists()

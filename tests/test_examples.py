"""The examples run as they stand, and the chip answers like the framework."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snn_deploy.importers.registry import load_model

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script: str, folder: Path) -> tuple[float, float, float]:
    """Return accuracy in float, accuracy on the chip, and same answers, in percent."""
    pytest.importorskip("mlxtend")
    ran = subprocess.run(
        [sys.executable, EXAMPLES / script, "-o", folder, "--epochs", "2"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # the networks are tiny
    )
    assert ran.returncode == 0, ran.stderr
    in_float, on_chip, same = (
        float(found) for found in re.findall(r": (\d+\.\d)%", ran.stdout)
    )
    return in_float, on_chip, same


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["norse", "snntorch", "spikingjelly", "sinabs"])
def test_a_network_is_trained_saved_and_compiled(
    framework: str, tmp_path: Path
) -> None:
    pytest.importorskip(framework)

    in_float, on_chip, same = run(f"train_{framework}.py", tmp_path)

    assert in_float > 80
    assert abs(in_float - on_chip) < 3
    assert same > 95
    assert load_model(tmp_path / f"{framework}.pt").training.timesteps == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "package", "file"),
    [
        ("train_nir.py", "sinabs", "sinabs.nir"),
        ("train_onnx.py", "onnxscript", "relu.onnx"),
        ("train_lava_dl.py", "lava.lib.dl", "lava_dl.net"),
    ],
)
def test_a_network_is_trained_written_and_compiled(
    script: str, package: str, file: str, tmp_path: Path
) -> None:
    pytest.importorskip(package)

    in_float, on_chip, same = run(script, tmp_path)

    assert in_float > 80
    assert abs(in_float - on_chip) < 3
    assert same == 100 if file.endswith(".net") else same > 95
    assert (tmp_path / file).is_file()

"""The examples run as they stand, and the chip answers like the framework."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from snn_deploy.importers import load_model

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["norse", "snntorch", "spikingjelly", "sinabs"])
def test_a_network_is_trained_saved_and_compiled(
    framework: str, tmp_path: Path
) -> None:
    pytest.importorskip(framework)
    pytest.importorskip("mlxtend")
    script = EXAMPLES / f"train_{framework}.py"

    ran = subprocess.run(
        [sys.executable, script, "-o", tmp_path, "--epochs", "2"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    in_float, on_chip, same = (
        float(found) for found in re.findall(r": (\d+\.\d)%", ran.stdout)
    )
    assert in_float > 80
    assert abs(in_float - on_chip) < 3
    assert same > 95
    assert load_model(tmp_path / f"{framework}.pt").training.timesteps == 8

"""What answers at once has imported nothing that is slow."""

import subprocess
import sys

import pytest

HEAVY = [
    "lava",
    "matplotlib",
    "mlxtend",
    "networkx",
    "norse",
    "numpy",
    "onnx",
    "pandas",
    "pyarrow",
    "rich",
    "safetensors",
    "scipy",
    "torch",
]


def loaded_by(program: str) -> list[str]:
    """Return the heavy packages that ``program`` has imported."""
    program += "; import sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return sorted(set(done.stdout.splitlines()[-1].split()) & set(HEAVY))


@pytest.mark.parametrize(
    "program",
    [
        "import snn_deploy",
        "import snn_deploy; dir(snn_deploy)",
        "import snn_deploy.errors",
        "import snn_deploy.cli; snn_deploy.cli._parser().format_help()",
    ],
)
def test_importing_and_parsing_load_nothing_heavy(program: str) -> None:
    assert loaded_by(program) == []


def test_running_a_network_loads_no_torch_and_no_lava() -> None:
    program = (
        "import snn_deploy.artifact, snn_deploy.data.data; "
        "import snn_deploy.backends.engine.cpu; "
        "import snn_deploy.cutoff.monitor, snn_deploy.cutoff.calibrate; "
        "import snn_deploy.profile.profile"
    )

    assert not {"torch", "norse", "lava", "pyarrow", "rich"} & set(loaded_by(program))

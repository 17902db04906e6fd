"""The wheel holds all that is needed, and works where it is installed."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
MODELS = sorted(path.parent.name for path in (ROOT / "models").glob("*/model.pt"))
LOCATE = (
    "from snn_deploy.files.writing import packaged_folder; "
    "print(packaged_folder('models'))"
)


def run(*arguments: object, folder: Path) -> str:
    """Run a command far away from the repository; return what it printed."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    line = [str(argument) for argument in arguments]
    done = subprocess.run(
        line, cwd=folder, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize(
    "dependencies",
    ["of this environment", pytest.param("its own", marks=pytest.mark.slow)],
)
def test_the_wheel_compiles_and_runs_a_model_that_comes_with_it(
    tmp_path: Path, dependencies: str
) -> None:
    # build; what that needs is installed for the tests, so nothing is downloaded
    options = ("--wheel", "--no-isolation", "--outdir", tmp_path / "dist")
    run(sys.executable, "-m", "build", *options, ROOT, folder=tmp_path)
    (wheel,) = (tmp_path / "dist").iterdir()
    names = names_in(wheel)
    assert {f"snn_deploy/targets/{p.name}" for p in ROOT.glob("targets/*")} <= names
    for folder in MODELS:
        for name in ("model.pt", "recipe.toml", "card.md"):
            assert f"snn_deploy/models/{folder}/{name}" in names
    assert {"snn_deploy/py.typed", "snn_deploy/report/page.css"} <= names
    engine = [name for name in names if "/backends/engine/" in name]
    assert not [name for name in engine if name.endswith((".cpp", ".h"))]
    assert not [name for name in names if name.startswith(("tests", "targets"))]

    # install
    home, away = tmp_path / "env", tmp_path / "away"
    away.mkdir()
    run(sys.executable, "-m", "venv", home, folder=away)
    program = home / "bin" / "snn-deploy"
    install = (home / "bin" / "python", "-m", "pip", "install", "--quiet")
    if dependencies == "its own":
        pins = ("-c", ROOT / "constraints.txt")
        run(*install, *pins, f"{wheel}[torch]", folder=away)
    else:
        run(*install, "--no-deps", "--no-index", wheel, folder=away)
        (site,) = home.glob("lib/*/site-packages")
        here = [path for path in sys.path if "site-packages" in path]
        (site / "dependencies.pth").write_text("\n".join(here))

    # use
    located = run(home / "bin" / "python", "-c", LOCATE, folder=away).strip()
    models = Path(located)
    assert models.is_relative_to(home)
    model = models / "mnist_lif" / "model.pt"
    run(program, "compile", model, "--target", "loihi-sim", folder=away)
    np.savez(away / "x.npz", x=np.zeros((1, 1, 28, 28), np.uint8))
    found = run(program, "run", "model.snn", "--data", "x.npz", "--json", folder=away)
    assert json.loads(found)["timesteps"] == 8

"""What ``pip install snn-deploy`` alone brings suffices for a compiled network."""

import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from snn_deploy.artifact import pack
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.convert import write_graph
from snn_deploy.extras import EXTRAS
from snn_deploy.front.network import Network
from tests.build import chain, lif, linear, rng

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
N_IN, N_INPUTS = 4, 30


def settings() -> dict[str, dict[str, list[str]]]:
    with PROJECT.open("rb") as file:
        project: dict[str, dict[str, list[str]]] = tomllib.load(file)["project"]
    return project


def brought_by(requirements: list[str]) -> set[str]:
    """Return the distributions that pip would install, as far as they are here."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        one = waiting.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        applies = one.marker is None or one.marker.evaluate({"extra": ""})
        if name in found or not applies:
            continue
        found.add(name)
        waiting += map(Requirement, metadata.requires(name) or ())
    return found


@cache  # reads a record of each package
def absent() -> list[str]:
    """Return the packages here that a bare installation does not bring."""
    present = brought_by([*settings()["dependencies"]])
    kept = {"pip", "snn-deploy"}
    return sorted(
        package
        for package, homes in metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", home).lower() for home in homes}
        & (present | kept)
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, compiled and as NIR, and inputs."""
    folder = tmp_path_factory.mktemp("home")
    layers = linear("fc", N_IN, 6), lif("lif", (6,)), linear("out", 6, 3)
    graph = chain(*layers, lif("answers", (3,)))
    write_graph(graph, folder / "net.nir")
    network = Network(pack(compile_model(graph, read_target("loihi-sim"))))
    network.save(folder / "net.snn")
    x = rng().uniform(size=(N_INPUTS, N_IN))
    np.savez(folder / "x.npz", x=x, y=rng().integers(0, 3, N_INPUTS))
    return folder


def alone(program: str, folder: Path) -> str:
    """Run a program where nothing else is installed; return what it printed."""
    hidden = f"""
from importlib.machinery import PathFinder
from snn_deploy.cli import main

find, hidden = PathFinder.find_spec, {absent()!r}
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition(".")[0] in hidden else find(name, path, target)
)
"""
    done = subprocess.run(
        [sys.executable, "-c", hidden + program],
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT.parent), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_compiled_network_needs_nothing_else(home: Path) -> None:
    program = """
import snn_deploy as sd
for line in (
    "calibrate net.snn --data x.npz --budget 20%",
    "run net.snn --data x.npz --index 0-3",
    "profile net.snn --data x.npz --limit 5 -o profile --cross-check 0 --csv",
    "serve net.snn --data .",
    "inspect net.snn --map map.svg",
    "convert net.snn integers.nir",
    "targets loihi-sim",
    "fit net.nir --dt 1e-4",
    "compile net.nir --dt 1e-4 -o again.snn",
    "verify again.snn --against net.nir --dt 1e-4 --data x.npz --limit 3",
):
    assert main(line.split()) == 0, line
net = sd.load("net.snn")
print(net([0.5] * 4), net)
"""

    printed = alone(program, home)

    assert {*EXTRAS, "pytest"} <= {*absent()}
    assert "wrote profile/inputs.parquet" in printed
    assert " of 6 timesteps" in printed


@pytest.mark.parametrize(
    ("line", "purpose", "package", "extra"),
    [
        ("compile model.pt", "model.pt", "torch", "torch"),
        ("inspect model.pt2", "model.pt2", "torch", "torch"),
        ("fit model.onnx", "model.onnx", "onnx", "onnx"),
        ("fit --builder my.net:build --input-shape 4", "a module", "torch", "torch"),
        ("convert net.snn net.onnx", "net.onnx", "onnx", "onnx"),
        ("train recipe.toml", "training", "torch", "torch"),
    ],
)
def test_what_needs_more_says_which_extra_brings_it(
    line: str,
    purpose: str,
    package: str,
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("snn_deploy.extras.find_spec", lambda name: None)
    from snn_deploy.cli import main

    status = main(line.split())

    assert status == 1
    assert capsys.readouterr().err == (
        f"error: {purpose} needs {package}, which is not installed: pip install "
        f"'snn-deploy[{extra}]'\n"
    )


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_the_extra_that_is_named_brings_the_package(package: str, extra: str) -> None:
    brought = settings()["optional-dependencies"][extra]

    assert package in {Requirement(line).name for line in brought}

"""Every command that takes a model takes what its file may leave out."""

import json
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.stimuli import Encoding
from tests.cli.conftest import Command
from tests.importers import builders
from tests.importers.agreement import louder
from tests.importers.test_onnx import export

BUILDER = ("--builder", "tests.importers.builders:network")
SHAPE = ("--input-shape", "1,8,8")
TOLD = (*BUILDER, *SHAPE, "--timesteps", 6)
COMMANDS = {  # what comes before the options
    "compile": ("weights.pt", "--target", "loihi-sim"),
    "convert": ("weights.pt", "out.pt"),
    "fit": ("weights.pt", "--target", "loihi-sim"),
    "inspect": ("weights.pt",),
    "verify": ("net.snn", "--against", "weights.pt", "--data", "data.npz"),
    "profile": ("net.snn", "--verify", "weights.pt", "--data", "data.npz"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Path:
    """Return a working folder with the tensors and the pickle of a trained module."""
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    module = louder(builders.network())
    torch.save(module.state_dict(), "weights.pt")
    torch.save(module, "pickled.pt")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, 1, 8, 8)).astype(np.uint8)
    np.savez("data.npz", x=x, y=np.arange(3))
    arguments = ("weights.pt", "--target", "loihi-sim", "-o", "net.snn")
    assert command("compile", *arguments, *TOLD).status == 0
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_tensors_are_read_with_their_builder(
    folder: Path, command: Command, name: str
) -> None:
    quick = {"verify": ("--lava", 0), "profile": ("--backend", "cpu")}.get(name, ())

    result = command(name, *COMMANDS[name], *TOLD, *quick)
    without = command(name, *COMMANDS[name])

    assert (result.status, result.err) == (0, "")
    assert without.status == 1
    assert "weights.pt" in without.err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pickle_is_read_where_it_is_trusted(
    folder: Path, command: Command, name: str
) -> None:
    before = [str(a).replace("weights", "pickled") for a in COMMANDS[name]]
    told = (*SHAPE, "--timesteps", 6, "--trust-pickle")
    quick = {"verify": ("--lava", 0), "profile": ("--backend", "cpu")}.get(name, ())

    assert command(name, *before, *told, *quick).status == 0
    assert "pickle" in command(name, *before).err


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("Net", "the module gone_with_it,"),
        ("Other", "Other of the module gone_with_it,"),
    ],
)
def test_a_pickle_whose_code_is_gone_says_which(
    folder: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    missing: str,
) -> None:
    code = types.ModuleType("gone_with_it")
    kind = type(name, (nn.Linear,), {"__module__": code.__name__})
    setattr(code, name, kind)
    with monkeypatch.context() as during:
        during.setitem(sys.modules, code.__name__, code)
        torch.save(kind(2, 2), "gone.pt")
    if name == "Other":
        monkeypatch.setitem(
            sys.modules, code.__name__, types.ModuleType("gone_with_it")
        )

    error = command(
        "compile", "gone.pt", *SHAPE, "--timesteps", 6, "--trust-pickle",
        "--target", "loihi-sim", "-o", "gone.snn",
    ).error()  # fmt: skip

    assert re.search(f"gone.pt: needs .*{missing}", error)
    assert "PYTHONPATH" in error
    assert "--builder" in error


def test_the_network_says_what_verify_needs(folder: Path, command: Command) -> None:
    arguments = ("net.snn", "--against", "weights.pt", "--data", "data.npz")

    result = command("verify", *arguments, "--lava", 0, *BUILDER)
    wider = ("--builder", "tests.importers.builders:wider")

    assert (result.status, result.err) == (0, "")
    found = command("verify", *arguments, *wider).error()
    assert "does not fit the module of tests.importers.builders:wider" in found


def test_fit_asks_for_no_training(folder: Path, command: Command) -> None:
    relus = ("--builder", "tests.importers.builders:with_relu", *SHAPE)

    fits = command("fit", "--target", "loihi-sim", "--json", *relus)
    does_not = command("fit", "--target", "loihi1", *BUILDER, *SHAPE)
    events = command(
        "fit", "--target", "loihi1", "--encoding", "events", *BUILDER, *SHAPE
    )

    assert (fits.status, fits.err) == (0, "")
    assert json.loads(fits.out)["network"] == "with_relu"
    assert does_not.status == 1
    assert "does not fit loihi1, for 2 reasons" in does_not.err
    assert "does not fit loihi1, for 1 reason;" in events.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "no model: neither a file nor a function"),
        (BUILDER, "give --input-shape 1,28,28"),
        ((*SHAPE, "--builder", "gone:build"), "No module named 'gone'"),
        ((*BUILDER, "--input-shape", "2,8,8"), "2"),
    ],
)
def test_fit_without_what_it_needs_is_an_error(
    command: Command, options: tuple[str, ...], words: str
) -> None:
    assert words in command("fit", "--target", "loihi1", *options).error()


def test_the_input_of_a_nir_file_may_be_told(folder: Path, command: Command) -> None:
    import nir

    row = nir.NIRGraph.from_list(
        nir.Input(np.array([3])),
        nir.Linear(weight=np.eye(3)[:2]),
        nir.IF(r=np.ones(2), v_threshold=np.ones(2)),
        nir.Output(np.array([2])),
    )
    nir.write("net.nir", row)
    told = ("--dt", 1, "--reset", "hard")

    assert command("convert", "net.nir", "a.nir", *told).status == 0
    direct = ("--encoding", "direct")
    assert command("convert", "net.nir", "b.nir", *told, *direct).status == 0

    assert load_model("a.nir").training.encoding is Encoding.EVENTS
    assert load_model("b.nir").training.encoding is Encoding.DIRECT
    found = command("convert", "b.nir", "c.nir", "--encoding", "rate").error()
    assert "notes encoding direct, --encoding says rate" in found


@pytest.mark.filterwarnings("ignore")  # the export has many of its own
def test_the_command_line_takes_a_range(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export(tmp_path / "net.onnx", louder(builders.conventional()).eval(), (2, 8, 8))
    x = np.random.default_rng(0).uniform(-1, 2, (3, 2, 8, 8)).astype(np.float32)
    np.savez("x.npz", x=x)

    made = command("compile", "net.onnx", "-o", "net.snn", "--input-range", "-1", "2")
    found = command("verify", "net.snn", "--against", "net.onnx", "--data", "x.npz")

    assert (made.status, found.status) == (0, 0), made.err + found.err
    graph = sd.load("net.snn").artifact.network.graph
    assert graph.training.input_range == (-1, 2)
    assert command("run", "net.snn", "--data", "x.npz").status == 0

"""``snn-deploy convert``: from format to format, and what it refuses."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.cli import main
from snn_deploy.exporters.nir import write_nir
from snn_deploy.importers.registry import load_model
from snn_deploy.importers.torch.file import write_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import batch_norm, chain, lif, linear, rng
from tests.importers.nir_truth import in_norse

EVENTS = Training(timesteps=20, encoding=Encoding.EVENTS)


@pytest.fixture
def network(tmp_path: Path) -> Graph:
    graph = chain(
        linear("fc", 6, 5),
        batch_norm("norm", (5,)),
        lif("lif", (5,), voltage_decay=np.array(0.1)),
        linear("out", 5, 3),
        lif("end", (3,), threshold=np.array(0.1), reset_amount=np.array(0.1)),
        training=EVENTS,
    )
    write_model(graph, tmp_path / "net.pt")
    return graph


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def test_there_and_back_the_spikes_are_equal_also_in_norse(
    tmp_path: Path, network: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    import nir

    files = [tmp_path / name for name in ("net.pt", "a.nir", "b.pt", "c.nir")]
    for source, destination in pairwise(files):
        assert convert(source, destination) == 0
    x = (rng(1).random((20, 6)) < 0.5).astype(np.int64)
    stimulus = Stimulus(values=x, is_constant=False)

    expected = evaluate(network, [stimulus])[0]
    for path in files[1:]:
        found = evaluate(load_model(path), [stimulus])[0]
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(in_norse(nir.read(files[3]), x), expected)
    assert 0 < expected.sum() < expected.size
    assert capsys.readouterr().out.endswith(f"wrote {files[3]}\n")


def test_integers_are_written_from_a_model_and_from_a_compiled_network(
    tmp_path: Path, network: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    model, compiled = tmp_path / "net.pt", tmp_path / "net.snn"
    arguments = ["compile", str(model), "--target", "loihi-sim", "-o", str(compiled)]
    assert main(arguments) == 0

    assert convert(model, tmp_path / "a.onnx", "--target", "loihi-sim") == 0
    assert convert(compiled, tmp_path / "b.onnx") == 0
    assert convert(compiled, tmp_path / "b.nir") == 0
    assert convert(compiled, tmp_path / "c.pt") == 0
    assert convert(compiled, tmp_path / "b.net") == 1
    assert "do not run on loihi2-netx, which has" in capsys.readouterr().err
    assert convert(model, tmp_path / "a.net") == 0

    one, other = (tmp_path / f"{name}.onnx" for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert load_model(tmp_path / "b.nir").is_on_grid
    assert load_model(tmp_path / "c.pt").is_on_grid
    noted = load_model(tmp_path / "a.net").training
    assert replace(noted, heads=()) == EVENTS


def test_wrong_endings_and_missing_answers_are_errors(
    tmp_path: Path, network: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "net.pt"
    bare = tmp_path / "bare.nir"
    write_nir(chain(linear("fc", 6, 5), training=EVENTS), bare)

    for arguments, words in (
        ((model, tmp_path / "x.pt2"), "networks are written to .pt, .nir, .onnx"),
        ((model, tmp_path / "x.onnx"), "name one with --target"),
        ((tmp_path / "gone.pt", tmp_path / "x.nir"), "no such file"),
        ((model, tmp_path / "gone" / "x.nir"), "no such folder"),
        ((bare, tmp_path / "x.pt", "--dt", "2e-4"), "notes dt 0.0001, --dt says"),
    ):
        assert convert(*arguments) == 1
        assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("x.*"))
    with pytest.raises(SystemExit) as exit_:
        convert(bare, tmp_path / "x.pt", "--reset", "half")
    assert exit_.value.code == 2


def test_a_reader_is_named_or_all_are_told(
    tmp_path: Path, network: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    model, path = tmp_path / "net.pt", tmp_path / "net.nir"

    assert convert(model, path) == 0
    told = capsys.readouterr().err
    assert "note: Norse reads it as it is meant: norse.torch.from_nir(graph, " in told
    assert "note: sinabs reads it otherwise (" in told

    assert convert(model, path, "--for", "norse") == 0
    assert capsys.readouterr().err.startswith("note: Norse reads it as it is meant")
    assert convert(model, path, "--for", "sinabs") == 1
    assert "sinabs would compute something else: lif: " in capsys.readouterr().err
    assert convert(model, tmp_path / "other.pt", "--for", "norse") == 1
    assert "only NIR files are written for norse" in capsys.readouterr().err

"""read_nir of files that snnTorch wrote: its own spikes, and notes where it guesses."""

import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch import nn

from snn_deploy.arrays import AnyArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.nir.reader import read_nir
from snn_deploy.importers.options import ReadOptions
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.stimuli import Stimulus
from tests.importers.agreement import louder
from tests.importers.nir_truth import row, trains, written

snn = pytest.importorskip("snntorch")
utils = pytest.importorskip("snntorch.utils")
SHAPE = (12,)  # nir 1.0.8 cannot infer the shapes of snnTorch's convolutions


def network(last: nn.Module, **first: Any) -> nn.Module:
    """Return two layers of neurons; the second is read out."""
    neurons = leaky(0.7, n=20, **first)
    layers = (nn.Linear(12, 20), neurons, nn.Linear(20, 6), last)
    torch.manual_seed(0)
    return louder(nn.Sequential(*layers))


def saved(path: Path, module: nn.Module) -> Path:
    """Write a module as snnTorch does."""
    export = pytest.importorskip("snntorch.export_nir").export_to_nir
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = export(module, torch.zeros(1, *SHAPE), ignore_dims=[0])
    return written(path, graph)


def theirs(module: nn.Module, x: AnyArray) -> AnyArray:
    utils.reset(module)
    with torch.no_grad():
        found = [module(torch.as_tensor(v, dtype=torch.float32)[None]) for v in x]
    values = [item[0] if isinstance(item, tuple) else item for item in found]
    return np.array([item.reshape(-1).numpy() for item in values])


def ours(graph: Graph, x: AnyArray) -> AnyArray:
    values = x.reshape(len(x), *graph.input.shape)
    found: AnyArray = evaluate(graph, [Stimulus(values=values, is_constant=False)])[0]
    return found


def leaky(
    beta: float, threshold: float = 1.0, n: int = 6, **settings: Any
) -> nn.Module:
    """Return neurons; nir 1.0.8 wants a parameter for each, to infer shapes."""
    each = torch.full((n,), beta), torch.full((n,), threshold)
    cell: nn.Module = snn.Leaky(
        beta=each[0], threshold=each[1], init_hidden=True, **settings
    )
    return cell


def synaptic(**settings: Any) -> nn.Module:
    cell: nn.Module = snn.Synaptic(
        alpha=torch.full((6,), 0.6),
        beta=torch.full((6,), 0.7),
        threshold=torch.ones(6),
        init_hidden=True,
        **settings,
    )
    return cell


def recurrent(**settings: Any) -> nn.Module:
    cell: nn.Module = snn.RLeaky(
        beta=0.8, linear_features=6, init_hidden=True, **settings
    )
    return cell


ZERO: dict[str, Any] = {"reset_mechanism": "zero"}
CASES: dict[str, tuple[nn.Module, Reset | None]] = {
    "Leaky": (leaky(0.8), None),
    "Leaky, threshold": (leaky(0.5, 0.4), None),
    "Leaky, zero": (leaky(0.8, **ZERO), Reset.HARD),
    "Synaptic": (synaptic(), None),
    "Synaptic, zero": (synaptic(**ZERO), Reset.HARD),
    "RLeaky": (recurrent(), None),
    "RLeaky, zero": (recurrent(**ZERO), Reset.HARD),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_files_of_snntorch_spike_as_there(tmp_path: Path, name: str) -> None:
    last, reset = CASES[name]
    module = network(last, **(ZERO if reset else {}))
    path = saved(tmp_path / "net.nir", module)
    x = trains(SHAPE)

    options = ReadOptions(written_by="snntorch", reset=reset, timesteps=len(x))
    graph = read_nir(path, options)

    expected = theirs(module, x)
    np.testing.assert_array_equal(ours(graph, x), expected)
    assert 0 < expected.sum() < expected.size


def test_without_the_word_a_note_says_what_it_looks_like(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(tmp_path / "net.nir", network(synaptic()))

    read_nir(path, ReadOptions(dt=1e-4, reset=Reset.SOFT))

    assert "looks like a file of snnTorch" in caplog.text
    assert "--from snntorch" in caplog.text


def test_what_contradicts_snntorch_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.nir", network(synaptic()))
    with pytest.raises(ModelError, match=r"notes dt 0.0001, --dt says 0.001"):
        read_nir(path, ReadOptions(written_by="snntorch", dt=1e-3))

    path = lif_file(tmp_path, tau=1e-3, r=1.0)
    with pytest.raises(ModelError, match=r"input counts 0.1, .* leave --from out"):
        read_nir(path, ReadOptions(written_by="snntorch"))

    path = lif_file(tmp_path, tau=1e-4, r=1.0)
    with pytest.raises(ModelError, match="a voltage that loses all in a timestep"):
        read_nir(path, ReadOptions(written_by="snntorch"))


def lif_file(folder: Path, tau: float, r: float) -> Path:
    """Write weights of 1 to three neurons, one of which has a high threshold."""
    each = np.full(3, tau)
    neurons = nir.LIF(
        tau=each, r=np.full(3, r), v_leak=np.zeros(3), v_threshold=np.array([2.0, 2, 9])
    )
    layer = nir.Affine(weight=np.ones((3, 4)), bias=np.zeros(3))
    return written(folder / "net.nir", row((4,), layer, neurons))


@pytest.mark.parametrize(
    ("tau", "r", "dt", "better"),
    [(2e-2, 1.0, 1e-6, "0.002"), (2e-3, 20.0, 1e-8, "0.0001")],
)
def test_a_timestep_with_which_nothing_spikes_is_noted(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    tau: float,
    r: float,
    dt: float,
    better: str,
) -> None:
    path = lif_file(tmp_path, tau, r)

    graph = read_nir(path, ReadOptions(dt=dt, reset=Reset.HARD))

    assert not ours(graph, np.ones((100, 4))).any()
    assert f"can spike within 100 timesteps of {dt:g} s" in caplog.text
    assert caplog.text.rstrip().endswith(f"try --dt {better}")
    caplog.clear()
    graph = read_nir(path, ReadOptions(dt=float(better), reset=Reset.HARD))
    assert ours(graph, np.ones((100, 4))).any()
    assert "can spike" not in caplog.text

"""The front door: from a module to a calibrated, priced, saved network."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import snn_deploy as sd
from snn_deploy.arrays import AnyArray
from snn_deploy.errors import (
    ArtifactError,
    CalibrationError,
    DataError,
    ModelError,
    TargetError,
)
from snn_deploy.nn.neurons import Qcfs

N, N_IN, N_OUT = 240, 12, 3


@pytest.fixture(scope="module")
def inputs() -> tuple[AnyArray, AnyArray]:
    """Return inputs of three classes, each brighter in a third of the values."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, N_OUT, N)
    x = 0.4 * draw.random((N, N_IN))
    x[np.arange(N)[:, np.newaxis], 4 * y[:, np.newaxis] + np.arange(4)] += 0.5
    return x, y


@pytest.fixture(scope="module")
def module() -> nn.Module:
    linear = nn.Linear(N_IN, N_OUT, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(N_OUT).repeat_interleave(4, dim=1) / 2)
    return nn.Sequential(linear, Qcfs(levels=8, threshold=1.0))


@pytest.fixture
def network(module: nn.Module) -> sd.Network:
    return sd.compile(module, input_shape=N_IN, timesteps=8)


def test_five_lines_do_the_main_job(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray], tmp_path: Path
) -> None:
    x, y = inputs

    network.calibrate(x, y, budget=0.02, progress=False)
    profiled = network.profile(x, y, progress=False)
    network.save(tmp_path / "net.snn")

    answer = network(x[0])
    assert answer.prediction == profiled.rows[0].prediction == y[0]
    assert answer.timesteps == profiled.rows[0].timesteps < 8
    assert repr(answer).startswith(f"{y[0]} after {answer.timesteps} of 8 timesteps, ")
    assert repr(answer).endswith("J (modelled, up to the board)")
    assert profiled.summary["with_cutoff"]["accuracy"] > 0.9
    again = sd.load(str(tmp_path / "net.snn"))
    assert repr(again) == repr(network)
    assert again(x[0]) == answer


def test_only_calibrate_changes_the_network(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray]
) -> None:
    x, y = inputs
    before = network.artifact
    network.profile(x, y, limit=5, progress=False)
    network.verify(x, y, limit=5, progress=False)
    network.fit("loihi1")

    assert network.artifact is before
    found = network.calibrate(x, y, rule="certain", progress=False)
    assert network.calibration is found
    assert repr(found).splitlines()[0].startswith("rule certain: ")


def test_what_is_shown_is_short(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray]
) -> None:
    x, y = inputs
    profiled = network.profile(x, y, limit=20, progress=False)
    shown: list[Any] = [
        network,
        network.graph,
        network.artifact,
        network.calibrate(x, y, progress=False),
        profiled,
        profiled.profile,
        network.fit(),
        network.verify(x, y, limit=5, progress=False),
    ]

    assert all(20 < len(repr(value)) < 1500 for value in shown)
    network_, graph, _, calibration, priced, _, fits, verified = shown
    for value in (network_, graph, calibration, priced, fits, verified):
        head = repr(value).splitlines()[0]
        assert value._repr_html_().startswith(f"<p><b>{head}</b></p>")
    assert "<td>Linear</td><td>3</td>" in graph._repr_html_()
    assert "<p>promise: accuracy lost" in calibration._repr_html_()
    assert "fits; 1 of 1024 neurocores" in repr(fits)
    assert "loihi-sim: 3 neurons on 1 of 128 neurocores, 8 timesteps" in repr(network)
    assert "<td>neurons" not in network._repr_html_()
    assert "<th>neurons</th>" in network._repr_html_()
    assert "all timesteps" not in repr(profiled)
    assert "it pays for" not in repr(profiled)
    told = repr(network.profile(x, (y + 1) % N_OUT, limit=20, progress=False))
    assert told.count("the cutoff against the best rival that loses no more: ") == 1
    assert "it pays for" in told
    assert "check the order of the labels" in told
    assert len(told) < 1500
    assert "8 timesteps, one by one" in profiled._repr_html_()


def test_rows_and_pictures_come_out(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray], tmp_path: Path
) -> None:
    x, y = inputs
    profiled = network.profile(x, y, limit=30, progress=False)

    table = profiled.to_arrow()
    assert table.column("prediction").to_pylist() == [
        row.prediction for row in profiled.rows
    ]
    frame = profiled.to_pandas()
    assert (frame["label"] == y[:30]).all()
    for what in ("accuracy", "timesteps", "parts", "spread"):
        figure = profiled.plot(what)
        figure.savefig(tmp_path / f"{what}.png")
        assert len(figure.axes) == 1
    page = profiled.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "report.html" in profiled.save(tmp_path / "all")
    with pytest.raises(DataError, match="no plot 'pie'; choose from accuracy, "):
        profiled.plot("pie")
    with pytest.raises(DataError, match="no labels, so no accuracy; give y"):
        network.profile(x, limit=3, progress=False).plot()


def test_inputs_come_as_people_hold_them(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray], tmp_path: Path
) -> None:
    x, y = inputs
    tensors = TensorDataset(torch.tensor(x), torch.tensor(y))
    np.savez(tmp_path / "data.npz", x=x, y=y)
    bright = network.profile(x, y, progress=False).to_arrow()

    for given in (
        (torch.tensor(x), torch.tensor(y)),
        (x.tolist(), y.tolist()),
        (x, np.eye(N_OUT)[y]),
        (tensors, None),
        (list(zip(x, y, strict=True)), None),
        (DataLoader(tensors, batch_size=7), None),
        (DataLoader(tensors, batch_size=None), None),
        (iter([(x[:200], y[:200]), (x[200:], y[200:])]), None),
        (str(tmp_path / "data.npz"), None),
        (tmp_path / "data.npz", None),
    ):
        assert network.profile(*given, progress=False).to_arrow() == bright
    without = network.profile(
        DataLoader(TensorDataset(torch.tensor(x))), progress=False
    )
    assert without.to_arrow().column("label").null_count == N


def test_inputs_that_are_none_are_told(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray], tmp_path: Path
) -> None:
    x, y = inputs
    np.savez(tmp_path / "data.npz", x=x, y=y)
    with pytest.raises(DataError, match="x is a int; give an array, a tensor, a data"):
        network.profile(3)
    with pytest.raises(DataError, match="brings its own labels; leave y out"):
        network.profile(tmp_path / "data.npz", y)
    with pytest.raises(DataError, match="x is a TensorDataset, which brings its own"):
        network.profile(TensorDataset(torch.tensor(x)), y)
    with pytest.raises(DataError, match="x holds no inputs; give at least one"):
        network.profile(iter([]))
    with pytest.raises(DataError, match=r"x has inputs of shape \(5, 6\)"):
        network.profile([(np.zeros((5, 6)), 0), (np.zeros((4, 6)), 1)])
    with pytest.raises(DataError, match=r"shapes \(4, 7\) to \(5, 6\); give inputs"):
        network.profile([(np.zeros((5, 6)), 0), (np.zeros((4, 7)), 1)])
    with pytest.raises(DataError, match="an item of x has 3 parts; give"):
        network.profile([(x[0], 0, 3)])
    with pytest.raises(DataError, match="1 of 2 items have a label; give all"):
        network.profile(iter([(x, y), (x, None)]))
    with pytest.raises(DataError, match=r"x has inputs of shape \(4,\)"):
        network.profile(x[:, :4])


def test_progress_is_a_bar_of_ones_own(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray]
) -> None:
    seen = []

    def mine(results: Iterable[object], total: int, desc: str) -> Iterable[object]:
        seen.append((total, desc))
        return results

    network.calibrate(*inputs, progress=mine)
    network.verify(*inputs, limit=3, progress=mine)

    assert seen[0] == (N, "inputs")
    assert seen[1][1] == "verify"


def test_a_network_in_one_pass_gives_the_activations_themselves(
    module: nn.Module, inputs: tuple[AnyArray, AnyArray]
) -> None:
    x, y = inputs

    network = sd.compile(module, one_pass=True, input_shape=N_IN, timesteps=8)

    assert network(x[0]).n_timesteps == 1
    assert network.verify(x, y, progress=False).is_faithful
    gray = torch.tensor(np.rint(x * 255) / 255, dtype=torch.float32)
    levels = module(gray).argmax(dim=1).numpy()
    rows = network.profile(x, y, progress=False).rows
    answers = [row.prediction for row in rows]
    assert np.mean(answers == levels) > 0.98  # others are ties, or nearly


def test_models_of_every_kind_compile(module: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    graph = sd.save(module, path, input_shape=N_IN, timesteps=8)

    assert sd.compile(path).artifact.sha256 == sd.compile(str(path)).artifact.sha256
    assert sd.compile(graph).artifact.sha256 == sd.compile(path).artifact.sha256
    with pytest.raises(ModelError, match="says everything itself; leave out timesteps"):
        sd.compile(graph, timesteps=4)
    with pytest.raises(ModelError, match="a dict is no model; give a torch module, a"):
        sd.compile({})
    with pytest.raises(ModelError, match=r"Linear is a class; give what it .*Linear\("):
        sd.compile(nn.Linear, input_shape=N_IN)


def test_a_graph_of_nir_compiles_as_its_file_does(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    snn = pytest.importorskip("snntorch")
    leaky = snn.Leaky(
        beta=0.9, reset_mechanism="zero", reset_delay=False, init_hidden=True
    )
    module = nn.Sequential(nn.Linear(N_IN, N_OUT), leaky)
    path = tmp_path / "net.nir"
    net = sd.compile(module, input_shape=N_IN, timesteps=8, dt=1e-3)
    net.to_nir(path)
    told = "these are the chip's integers, .* convert MODEL FILE.nir --for norse"
    with pytest.raises(ModelError, match=told):
        net.to_nir(path, reader="norse")

    mine, theirs = (
        sd.compile(model, dt=1e-3, timesteps=8).artifact.network.graph
        for model in (path, nir.read(path))
    )

    assert (mine.readout.threshold == theirs.readout.threshold).all()
    (here,), (there,) = mine.projections, theirs.projections
    assert (here.synapses.weights == there.synapses.weights).all()


def test_a_loaded_network_says_what_it_lacks(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray], tmp_path: Path
) -> None:
    network.save(tmp_path / "net.snn")
    loaded = sd.load(tmp_path / "net.snn")

    with pytest.raises(ModelError, match="was loaded, and does not know the network"):
        loaded.verify(*inputs)
    full = loaded.fit()
    assert (full.n_cores, full.problems) == (len(loaded.artifact.network.cores), ())
    assert network.graph is not None
    assert loaded.verify(*inputs, model=network.graph, progress=False).is_faithful
    with pytest.raises(ModelError, match=r"net\.pt: a compiled network ends in \.snn"):
        network.save(tmp_path / "net.pt")
    with pytest.raises(ArtifactError, match="no such file"):
        sd.load(tmp_path / "none.snn")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Sequential: a module does not say what .*; give input_shape, without"),
        (
            {"input_shap": 12},
            "no option is called 'input_shap'; did you mean 'input_shape'\\? "
            r"\(there are input_shape, timesteps, .*, optimize\)",
        ),
        ({"input_shape": 12, "qqq": 1}, "'qqq'; choose from dt, .*, timesteps"),
        ({"input_shape": 12, "stric": True}, "did you mean 'strict'"),
        (
            {"input_shape": 12, "timesteps": "8"},
            "timesteps is '8', of type str; give a whole number or None",
        ),
        (
            {"input_shape": 12, "timesteps": True},
            "timesteps is True, of type bool",
        ),
        (
            {"input_shape": 12, "strict": 1},
            "strict is 1, of type int; give True or",
        ),
        (
            {"input_shape": 12, "dt": "1e-3"},
            "dt is '1e-3', of type str; give a num",
        ),
        ({"input_shape": None}, "input_shape is None; give whole numbers, the shape"),
        ({"input_shape": ("a", 2)}, r"input_shape is \('a', 2\); give whole numbers"),
    ],
)
def test_options_of_compile_that_are_wrong_are_told(
    module: nn.Module, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        sd.compile(module, **options)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (
            "calibrate",
            {"budget": "1%"},
            "calibrate: budget is '1%', of type str",
        ),
        (
            "calibrate",
            {"rule": "fixed", "at": 2.5},
            "at is 2.5, of type float",
        ),
        (
            "profile",
            {"limit": "9"},
            "profile: limit is '9', of type str",
        ),
        (
            "profile",
            {"has_rivals": None},
            "has_rivals is None, of type None",
        ),
        (
            "verify",
            {"limit": 9.0},
            "verify: limit is 9.0, of type float",
        ),
    ],
)
def test_values_of_another_type_are_told(
    network: sd.Network,
    inputs: tuple[AnyArray, AnyArray],
    method: str,
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(sd.SnnDeployError, match=message):
        getattr(network, method)(*inputs, **options)


def test_numbers_of_numpy_are_numbers(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray]
) -> None:
    limit: Any = np.int64(2)

    found = network.profile(*inputs, limit=limit, progress=False)

    assert len(found.rows) == 2


@pytest.mark.parametrize("n_dims", [2, 3])
def test_a_batch_is_no_input_of_a_call(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray], n_dims: int
) -> None:
    batch = inputs[0][:3]
    steps = np.repeat(batch[:, np.newaxis], 8, axis=1)

    with pytest.raises(
        DataError,
        match=r"a call takes one input, \(12,\), or \(8, 12\) where it changes; .*"
        "to profile",
    ):
        network(batch if n_dims == 2 else steps)
    assert network(batch[0]).values == network(steps[0]).values
    with pytest.raises(DataError):
        network(0.5)


def test_labels_of_other_inputs_are_doubted(
    network: sd.Network,
    inputs: tuple[AnyArray, AnyArray],
    caplog: pytest.LogCaptureFixture,
) -> None:
    x, y = inputs
    network.calibrate(x, y, progress=False)
    assert not caplog.messages
    network.calibrate(x, (y + 1) % N_OUT, progress=False)

    assert "0.0% of 240 answers at all timesteps are right" in caplog.messages[0]
    assert "3 classes 33.3% would be; check the order" in caplog.messages[0]


def test_options_that_are_unknown_are_told_with_those_there_are(
    network: sd.Network, inputs: tuple[AnyArray, AnyArray]
) -> None:
    with pytest.raises(
        CalibrationError,
        match=r"'budgt'; did you mean 'budget'.*budget, confidence, .*, form, score",
    ):
        network.calibrate(*inputs, budgt=0.1)
    with pytest.raises(ModelError, match=r"model.pt: .*'timestep'.* 'timesteps'"):
        sd.compile(sd.reference_model("mnist_lif"), timestep=3)


def test_what_comes_along_is_found() -> None:
    assert sd.reference_model("mnist_lif").is_file()
    assert sd.target_file("loihi2").name == "loihi2.toml"
    with pytest.raises(ModelError, match="no trained network 'lif'; choose from "):
        sd.reference_model("lif")
    with pytest.raises(TargetError, match="no target 'loihi3'; choose from loihi-sim"):
        sd.target_file("loihi3")


def test_the_public_names_are_listed() -> None:
    assert {"compile", "load", "Network", "save"} <= set(dir(sd))

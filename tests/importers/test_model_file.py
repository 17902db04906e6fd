import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy
from snn_deploy.arrays import AnyArray
from snn_deploy.data.data import Data
from snn_deploy.errors import ModelError
from snn_deploy.importers.balance import with_used_inputs
from snn_deploy.importers.registry import load_model
from snn_deploy.importers.torch.file import _sha256, read_model
from snn_deploy.importers.torch.file import write_model as write_graph
from snn_deploy.ir.codec import encode
from snn_deploy.ir.graph import Functional, Graph
from snn_deploy.ir.neurons import Qcfs as QcfsLayer
from snn_deploy.ir.nodes import Conv2d
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.nn.neurons import Qcfs
from tests.hostile.networks import SHAPE, module, write_model


def content(graph: Graph) -> tuple[Any, dict[str, bytes]]:
    tensors: dict[str, AnyArray] = {}
    data = encode(graph, tensors)
    return data, {name: array.tobytes() for name, array in tensors.items()}


def test_what_is_read_is_what_was_saved(tmp_path: Path) -> None:
    graph = write_model(tmp_path / "net.pt")

    assert content(load_model(tmp_path / "net.pt")) == content(graph)


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    write_model(tmp_path / "net.pt")
    first = (tmp_path / "net.pt").read_bytes()

    write_model(tmp_path / "net.pt")

    assert (tmp_path / "net.pt").read_bytes() == first


def test_inputs_it_was_made_with_are_remembered(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).random((9, *SHAPE))
    graph = write_model(tmp_path / "net.pt")
    assert not len(graph.used_inputs)

    more = with_used_inputs(with_used_inputs(graph, inputs[:5]), inputs[3:])

    data = Data(x=inputs, y=None, training=graph.training)
    assert set(more.used_inputs) == set(data.hashes)
    assert len(more.used_inputs) == 9


def test_every_option_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"

    snn_deploy.save(
        module(),
        str(path),
        input_shape=[1, 4, 4],
        timesteps=np.int64(7),  # type: ignore[arg-type]
        encoding="rate",
        input_scale=2,
        input_offset=-0.5,
        dt=1,
        functional="last",
    )

    training = read_model(path).training
    assert training.timesteps == 7
    assert training.encoding is Encoding.RATE
    assert (training.input_scale, training.input_offset) == (2.0, -0.5)
    assert training.dt == 1.0
    assert training.functional is Functional.LAST


def test_the_network_is_called_like_its_file_or_like_the_folder_of_model_pt(
    tmp_path: Path,
) -> None:
    (tmp_path / "digits").mkdir()

    assert write_model(tmp_path / "net.pt").name == "net"
    assert write_model(tmp_path / "digits" / "model.pt").name == "digits"


def test_double_precision_is_kept_where_it_is_used(tmp_path: Path) -> None:
    layer = nn.Linear(16, 3).double()
    nn.init.constant_(layer.weight, 0.1)

    saved = nn.Sequential(nn.Flatten(), layer)
    snn_deploy.save(saved, tmp_path / "net.pt", input_shape=SHAPE, timesteps=1)

    weight = read_model(tmp_path / "net.pt").node("1").weight  # type: ignore[attr-defined]
    assert np.all(weight == 0.1)


def test_the_file_needs_no_code_to_be_read(tmp_path: Path) -> None:
    write_model(tmp_path / "net.pt")

    found = torch.load(tmp_path / "net.pt", weights_only=True)

    assert found["format"] == "snn-deploy model"
    assert isinstance(found["graph"], str)
    assert all(isinstance(tensor, torch.Tensor) for tensor in found["tensors"].values())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"timesteps": 0}, "timesteps is 0; at least 1 is needed"),
        ({"encoding": "latency"}, "encoding is 'latency'; choose from direct, rate"),
        ({"functional": "median"}, "functional is 'median'; choose from sum, last"),
        ({"input_scale": float("nan")}, "input_scale is nan; give a finite number"),
        ({"input_offset": float("inf")}, "input_offset is inf"),
        ({"dt": float("nan")}, "dt is nan"),
        ({"input_shape": ()}, "input_shape is ()"),
        ({"input_shape": (1, 0, 4)}, "input_shape is (1, 0, 4)"),
        (
            {"input_shape": (2, 4, 4)},
            "layer 0, Conv2d: the input has 2 channels, the weight takes 1",
        ),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    options: dict[str, Any] = {"input_shape": SHAPE, "timesteps": 4, **changes}

    with pytest.raises(ModelError) as caught:
        snn_deploy.save(module(), tmp_path / "net.pt", **options)

    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_counts_that_are_no_whole_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"

    with pytest.raises(TypeError):
        snn_deploy.save(module(), path, input_shape=SHAPE, timesteps=4.0)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="give whole numbers"):
        snn_deploy.save(module(), path, input_shape=(1, 4.0, 4), timesteps=4)  # type: ignore[arg-type]


def test_a_name_that_could_not_be_read_again_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"models end in \.pt; choose such a name"):
        write_model(tmp_path / "net.bin")


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    write_model(path)
    found = torch.load(path, weights_only=True)
    torch.save({**found, "version": 9}, path)

    with pytest.raises(ModelError, match="version 9, this program reads 1, 2, 3"):
        read_model(path)


def described(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit the description in a file, and its checksum, as another program might."""
    found = torch.load(path, weights_only=True)
    graph = json.loads(found["graph"])
    change(graph)
    found["graph"] = json.dumps(graph)
    found["sha256"] = _sha256(found["graph"], found["tensors"])
    torch.save(found, path)


def test_a_setting_that_came_after_the_file_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    graph = write_model(path)
    described(path, lambda graph: graph["training"].pop("input_offset"))

    assert content(read_model(path)) == content(graph)


def test_a_setting_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    write_model(path)
    described(path, lambda graph: graph["training"].update(noise=0.1))

    with pytest.raises(ModelError, match="Training is not made of noise"):
        read_model(path)


def with_levels(levels: object) -> nn.Module:
    layers = (nn.Flatten(), nn.Linear(64, 6), Qcfs(4, 1.0), nn.Linear(6, 3))
    layers[2].levels = levels  # type: ignore[assignment]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("levels", [4.0, np.int64(4), np.float32(4)])
def test_numbers_of_another_type_are_stored_as_what_they_are_for(
    tmp_path: Path, levels: object
) -> None:
    path = tmp_path / "net.pt"
    snn_deploy.save(with_levels(levels), path, input_shape=(1, 8, 8), timesteps=4)

    (activation,) = read_model(path).nodes_of(QcfsLayer)

    assert activation.levels == 4


def test_levels_that_are_no_whole_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"layer 2, .*: levels is 4.5; give a whole number"
    ):
        snn_deploy.save(
            with_levels(4.5), tmp_path / "net.pt", input_shape=(1, 8, 8), timesteps=4
        )


def test_nothing_is_written_that_could_not_be_read(tmp_path: Path) -> None:
    graph = write_model(tmp_path / "net.pt")
    layer = graph.nodes_of(Conv2d)[0]
    odd = graph.replace(layer, replace(layer, groups=1.0))  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=r"other.pt: a layer has a value of another"):
        write_graph(odd, tmp_path / "other.pt")

    assert not (tmp_path / "other.pt").exists()

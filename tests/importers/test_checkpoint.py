"""A bare state_dict with its builder, and pickled modules that are trusted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.importers import load_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.spikes import Encoding
from tests.build import images
from tests.importers import builders
from tests.importers.agreement import N, agree, louder, merged

BUILDER = "tests.importers.builders:network"
SHAPE = (1, 8, 8)
TOLD: dict[str, Any] = {"input_shape": SHAPE, "timesteps": 6}


def written(folder: Path, content: object) -> Path:
    path = folder / "weights.pt"
    torch.save(content, path)
    return path


def assert_same(path: Path, module: nn.Module, **options: Any) -> None:
    graph = load_model(path, **TOLD, **options)
    stimuli = images(3, SHAPE)
    x = np.stack([s.values[0] for s in stimuli]) / 255
    with torch.no_grad():
        expected = module.double()(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(evaluate(graph, stimuli)[:, 0], expected, atol=1e-9)


@pytest.mark.parametrize("key", ["", "state_dict", "model_state_dict"])
def test_a_state_dict_is_loaded_into_what_the_builder_returns(
    tmp_path: Path, key: str
) -> None:
    module = louder(builders.network())
    content: Any = module.state_dict()
    path = written(tmp_path, {key: content, "epoch": 3} if key else content)

    assert_same(path, module, builder=BUILDER)


def test_encoding_and_timesteps_are_those_that_were_told(tmp_path: Path) -> None:
    path = written(tmp_path, builders.network().state_dict())

    graph = load_model(path, builder=BUILDER, encoding="rate", **TOLD)

    assert graph.name == "weights"
    assert graph.training.timesteps == 6
    assert graph.training.encoding is Encoding.RATE


def test_relus_are_balanced_on_inputs(tmp_path: Path) -> None:
    path = written(tmp_path, louder(builders.with_relu()).state_dict())
    builder = "tests.importers.builders:with_relu"
    x = np.random.default_rng(0).random((50, *SHAPE))

    graph = load_model(path, builder=builder, balance_on=x, **TOLD)

    assert 0 < graph.node("2").maximum < 100  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="2: a ReLU has no largest value"):
        load_model(path, builder=builder, **TOLD)


def test_states_of_neurons_in_the_file_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sl = pytest.importorskip("sinabs.layers")

    def build() -> nn.Module:
        layers = (nn.Linear(12, 5), sl.IAFSqueeze(batch_size=N), nn.Linear(5, 3))
        return nn.Sequential(*layers)

    monkeypatch.setattr(builders, "of_sinabs", build, raising=False)
    module = louder(build())
    agree(module, merged, tmp_path, (12,))
    module(torch.rand(N, 12))
    path = written(tmp_path, module.state_dict())

    load_model(
        path,
        builder="tests.importers.builders:of_sinabs",
        input_shape=(12,),
        timesteps=4,
    )


def test_a_pickled_module_is_read_only_if_it_is_trusted(tmp_path: Path) -> None:
    module = louder(builders.network())
    path = written(tmp_path, module)

    assert_same(path, module, trust_pickle=True)
    for options in ({}, {"builder": BUILDER, **TOLD}):
        with pytest.raises(ModelError, match=r"could run code; .* --trust-pickle"):
            load_model(path, **options)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_code_in_a_state_dict_is_never_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    path = written(tmp_path, {"0.weight": Evil(victim)})

    with pytest.raises(ModelError, match="could run code"):
        load_model(path, builder=BUILDER, **TOLD)

    assert not victim.exists()


def less() -> dict[str, torch.Tensor]:
    tensors = builders.network().state_dict()
    del tensors["3.bias"]
    return tensors


@pytest.mark.parametrize(
    ("content", "builder", "words"),
    [
        (None, "tests.importers.builders", "names no function; give package.module"),
        (None, "no_such_module:f", "ModuleNotFoundError"),
        (None, "tests.importers.builders:missing", "AttributeError"),
        (None, "tests.importers.builders:broken", "RuntimeError: no such thing"),
        (
            None,
            "tests.importers.builders:number",
            "returns an object of int; return the module",
        ),
        (None, "tests.importers.builders:wider", "does not fit the module"),
        (
            None,
            "tests.importers.builders:with_relu",
            "lacks the module of|has more than",
        ),
        (less(), BUILDER, "1 tensors such as 3.bias"),
        ({"a": 3}, BUILDER, "'a' and 0 others are no tensors"),
        ([1, 2], BUILDER, "holds a list, no state_dict"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, content: Any, builder: str, words: str
) -> None:
    tensors = builders.network().state_dict() if content is None else content

    with pytest.raises(ModelError, match=words):
        load_model(written(tmp_path, tensors), builder=builder, **TOLD)


def test_the_shape_of_the_input_must_be_told(tmp_path: Path) -> None:
    path = written(tmp_path, builders.network().state_dict())

    with pytest.raises(ModelError, match=r"give --input-shape 1,28,28 and --timesteps"):
        load_model(path, builder=BUILDER)


def test_a_trusted_file_without_a_module_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, builders.network().state_dict())

    with pytest.raises(ModelError, match="holds a OrderedDict, no module"):
        load_model(path, trust_pickle=True, **TOLD)

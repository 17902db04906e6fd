"""A bare state_dict with its builder, and pickled modules that are trusted."""

import copy
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from snn_deploy.errors import ModelError
from snn_deploy.importers.registry import load_model
from snn_deploy.importers.torch.file import save
from snn_deploy.importers.torch.module import unwrapped
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.stimuli import Encoding
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


def prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda t: {"net": t, "acc": 0.9, "epoch": 3}, id="SpikingJelly"),
        pytest.param(lambda t: {"model": t, "optimizer": OPTIMIZER}, id="optimizer"),
        pytest.param(lambda t: {"optim": OPTIMIZER, "snn": t}, id="any name"),
        pytest.param(lambda t: {"a": {"net": t}}, id="deeper"),
        pytest.param(lambda t: prefixed("module.", t), id="DataParallel"),
        pytest.param(lambda t: prefixed("_orig_mod.", t), id="compiled"),
        pytest.param(lambda t: prefixed("module._orig_mod.", t), id="both"),
        pytest.param(
            lambda t: {"state_dict": prefixed("model.", t), "epoch": 1}, id="Lightning"
        ),
        pytest.param(lambda t: {"net": prefixed("a.b.module.", t)}, id="deep"),
        pytest.param(
            lambda t: {n.replace("0.", "0.module."): v for n, v in t.items()},
            id="DataParallel inside",
        ),
        pytest.param(
            lambda t: {"model": t, "other": {"0.weight": torch.zeros(2)}}, id="others"
        ),
    ],
)
@pytest.mark.parametrize("builder", ["network", "in_parallel"])
def test_checkpoints_are_read_as_trainers_write_them(
    tmp_path: Path, wrap: Callable[[Any], Any], builder: str
) -> None:
    module = louder(builders.network())
    path = written(tmp_path, wrap(dict(module.state_dict())))

    assert_same(path, module, builder=f"tests.importers.builders:{builder}")


def test_two_state_dicts_that_fit_are_refused(tmp_path: Path) -> None:
    tensors = builders.network().state_dict()
    path = written(tmp_path, {"model": tensors, "ema": prefixed("module.", tensors)})

    with pytest.raises(ModelError, match=r"several state_dicts that fit, model, ema;"):
        load_model(path, builder=BUILDER, **TOLD)


def without(tensors: dict[str, torch.Tensor], *ends: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in tensors.items() if not name.endswith(ends)}


@pytest.mark.parametrize("version", ["0.7", "0.9", "1.0"])
def test_files_of_all_versions_of_snntorch_are_read(
    tmp_path: Path, version: str
) -> None:
    pytest.importorskip("snntorch")
    tensors = dict(builders.of_snntorch().state_dict())
    if version == "0.7":
        tensors = without(tensors, "graded_spikes_factor", "reset_mechanism_val")
    if version == "0.9":
        tensors["1.mem"] = torch.ones(1, 5)

    graph = load_model(
        written(tmp_path, tensors),
        builder="tests.importers.builders:of_snntorch",
        input_shape=(6,),
        timesteps=4,
    )

    weight = graph.node("0").weight  # type: ignore[attr-defined]
    np.testing.assert_array_equal(weight, tensors["0.weight"].numpy())


def test_what_was_trained_may_not_be_left_out(tmp_path: Path) -> None:
    pytest.importorskip("snntorch")
    path = written(tmp_path, without(builders.of_snntorch().state_dict(), "beta"))

    with pytest.raises(ModelError, match=r"lacks .* 1 tensors such as 1.beta; build"):
        load_model(
            path,
            builder="tests.importers.builders:of_snntorch",
            input_shape=(6,),
            timesteps=4,
        )


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        torch.compile,
        lambda m: nn.DataParallel(torch.compile(m)),  # type: ignore[type-var]
        lambda m: nn.Sequential(nn.DataParallel(m[:2]), *m[2:]),
    ],
)
def test_wrappers_of_training_are_taken_off(
    tmp_path: Path, wrap: Callable[[Any], nn.Module]
) -> None:
    module = louder(builders.network())
    path = tmp_path / "model.pt"
    wrapped = wrap(module)
    kinds = [type(m) for m in wrapped.modules()]

    save(wrapped, path, input_shape=SHAPE, timesteps=6)

    stimuli = images(3, SHAPE)
    x = np.stack([s.values[0] for s in stimuli]) / 255
    with torch.no_grad():
        expected = module.double()(torch.as_tensor(x)).numpy()
    found = evaluate(load_model(path), stimuli)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert [type(m) for m in wrapped.modules()] == kinds


def test_tensors_without_values_are_refused(tmp_path: Path) -> None:
    module = builders.network().to("meta")

    with pytest.raises(ModelError, match=r"on the device 'meta', which holds no value"):
        save(module, tmp_path / "model.pt", input_shape=SHAPE, timesteps=6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TorchScript
def test_torch_script_is_refused_wherever_it_is(tmp_path: Path) -> None:
    inner = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))

    for module, words in (
        (inner, "Sequential: is TorchScript"),
        (nn.Sequential(nn.Identity(), inner), "1: is TorchScript"),
    ):
        with pytest.raises(ModelError, match=f"{words}, whose layers cannot be seen"):
            save(module, tmp_path / "model.pt", input_shape=SHAPE, timesteps=6)


@pytest.mark.filterwarnings("ignore:Accessing the data pointer:UserWarning")
def test_a_module_on_a_gpu_is_copied_into_main_memory() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):  # knows of devices without one
        inner: Any = nn.Identity()
        inner.register_buffer("state", torch.ones(2, device="mps"))
        inner.plain = torch.ones(2, device="mps")
        module = nn.Sequential(nn.DataParallel(inner))

        found: Any = unwrapped(module)[0]  # type: ignore[index]

    assert isinstance(found, nn.Identity)
    assert found.state.device.type == found.plain.device.type == "cpu"
    assert inner.state.device.type == inner.plain.device.type == "mps"


def test_one_number_is_a_row(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(8, 3))

    graph = save(module, tmp_path / "model.pt", input_shape=8, timesteps=2)

    assert graph.input.shape == (8,)


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
    assert_same(path, module, builder=BUILDER, trust_pickle=True)
    for options in ({}, {"builder": BUILDER, **TOLD}):
        with pytest.raises(ModelError, match=r"could run code; .* --trust-pickle"):
            load_model(path, **options)


def test_a_pickled_module_may_lie_beside_others(tmp_path: Path) -> None:
    module = louder(builders.network())

    for content in ({"net": module, "acc": 1.0}, nn.DataParallel(module)):
        assert_same(
            written(tmp_path, content), copy.deepcopy(module), trust_pickle=True
        )


def test_trust_lets_a_builder_read_tensors_beside_objects(tmp_path: Path) -> None:
    module = louder(builders.network())
    content = {"net": module.state_dict(), "args": Namespace(lr=0.1)}
    path = written(tmp_path, content)

    assert_same(path, module, builder=BUILDER, trust_pickle=True)
    with pytest.raises(ModelError, match=r"could run code; .* --trust-pickle"):
        load_model(path, builder=BUILDER, **TOLD)


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


def test_timesteps_are_read_where_forward_has_them(tmp_path: Path) -> None:
    path = written(tmp_path, builders.Looped().state_dict())

    graph = load_model(
        path, builder="tests.importers.builders:Looped", input_shape=(6,)
    )

    assert graph.training.timesteps == 7
    weights = written(tmp_path, builders.network().state_dict())
    with pytest.raises(ModelError, match=r"does not say for how .* \(--timesteps\)"):
        load_model(weights, builder=BUILDER, input_shape=SHAPE)


def test_a_trusted_file_without_a_module_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, builders.network().state_dict())

    with pytest.raises(ModelError, match="holds a OrderedDict, no module; save one"):
        load_model(path, trust_pickle=True, **TOLD)

"""torch.export archives: the same outputs, or a refusal; nothing in them is run."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.errors import ModelError
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.neurons import Relu
from tests.build import images
from tests.importers.agreement import louder

SHAPE = (2, 8, 8)
pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export has many of its own


def plain(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*(layers or (nn.Flatten(), nn.Linear(128, 3))))


def exported(module: nn.Module, path: Path, *, is_dynamic: bool = False) -> Path:
    batch = torch.export.Dim("batch") if is_dynamic else None
    shapes = ({0: batch},) if is_dynamic else None
    example = (torch.rand(2, *SHAPE),)
    program = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


@pytest.mark.parametrize("is_dynamic", [False, True])
@pytest.mark.parametrize(
    "module",
    [
        plain(),
        plain(
            nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=2, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU6(),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 4, 1),
            nn.BatchNorm2d(4),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
    ],
    ids=["linear", "deep"],
)
def test_an_exported_network_gives_the_same(
    tmp_path: Path, module: nn.Module, is_dynamic: bool
) -> None:
    path = exported(louder(module), tmp_path / "net.pt2", is_dynamic=is_dynamic)

    graph = load_model(path, timesteps=1)

    stimuli = images(3, SHAPE)
    x = torch.as_tensor(np.stack([s.values[0] for s in stimuli]) / 255)
    expected = module.double()(x).detach().numpy()
    module.float()
    np.testing.assert_allclose(evaluate(graph, stimuli)[:, 0], expected, atol=1e-6)


def test_sums_views_and_functions(tmp_path: Path) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3)
            self.last = nn.Linear(36, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.relu6(self.a(x) + self.b(x))
            x = nn.functional.max_pool2d(x, 2)
            output: Tensor = self.last(x.view(x.size(0), -1))
            return output

    module = louder(Block())
    path = exported(module, tmp_path / "net.pt2", is_dynamic=True)

    stimuli = images(3, SHAPE)
    x = torch.as_tensor(np.stack([s.values[0] for s in stimuli]) / 255)
    found = evaluate(load_model(path, timesteps=1), stimuli)[:, 0]
    expected = module.double()(x).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_relus_are_balanced(tmp_path: Path) -> None:
    module = plain(nn.Flatten(), nn.Linear(128, 5), nn.ReLU(), nn.Linear(5, 3))
    path = exported(louder(module), tmp_path / "net.pt2")
    x = np.random.default_rng(0).random((40, *SHAPE))

    (relu,) = load_model(path, balance_on=x).nodes_of(Relu)

    assert 0 < relu.maximum < 100
    with pytest.raises(ModelError, match="give training inputs to measure it on"):
        load_model(path)


def test_relus_have_the_same_maxima_from_whatever_the_network_is_read(
    tmp_path: Path,
) -> None:
    module = louder(plain(nn.Flatten(), nn.Linear(128, 5), nn.ReLU(), nn.Linear(5, 3)))
    path = exported(module, tmp_path / "net.pt2")
    x = np.random.default_rng(0).random((400, *SHAPE))  # 0.1 % of them is one value

    saved = snn_deploy.save(
        module, tmp_path / "net.pt", input_shape=SHAPE, timesteps=8, example_inputs=x
    )
    loaded = [
        load_model(path, balance_on=x, encoding=encoding)
        for encoding in ("direct", "rate", "events")
    ]

    maxima = [relu.maximum for g in (saved, *loaded) for relu in g.nodes_of(Relu)]
    np.testing.assert_allclose(maxima, [maxima[0]] * 4, rtol=1e-6)
    assert all(np.array_equal(g.used_inputs, saved.used_inputs) for g in loaded)


def both(x: Tensor) -> tuple[Tensor, Tensor]:
    return x, x + x


class Twofold(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return both(self.fc(x))


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (
            plain(nn.Conv2d(2, 2, 3), nn.Sigmoid()),
            "sigmoid: Sigmoid cannot be deployed but over the outputs",
        ),
        (
            plain(nn.Conv2d(2, 2, 3), nn.Hardtanh(-1, 1)),
            "hardtanh: cuts values to -1 ... 1; only a ReLU",
        ),
        (plain(nn.Unflatten(1, (1, 2))), "has no layer"),
        (plain(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")), "cannot be"),
        (Twofold(), "1 inputs and 2 outputs"),
    ],
    ids=str,
)
def test_what_has_no_counterpart_is_refused(
    tmp_path: Path, module: nn.Module, words: str
) -> None:
    path = exported(module, tmp_path / "net.pt2")

    with pytest.raises(ModelError, match=words):
        load_model(path)


Edit = Callable[[dict[str, bytes]], None]


def edited(path: Path, edit: Edit, method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    edit(entries)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


CONFIG = "net/data/weights/model_weights_config.json"


def in_config(change: Callable[[dict[str, Any]], None]) -> Edit:
    def edit(entries: dict[str, bytes]) -> None:
        config = json.loads(entries[CONFIG])
        change(config["config"]["1.weight"])
        entries[CONFIG] = json.dumps(config).encode()

    return edit


def huge(payload: dict[str, Any]) -> None:
    payload["tensor_meta"]["sizes"] = [{"as_int": 1 << 20}, {"as_int": 1 << 20}]


def outside(payload: dict[str, Any]) -> None:
    payload["tensor_meta"]["storage_offset"]["as_int"] = 1 << 30


def pickled(payload: dict[str, Any]) -> None:
    payload["use_pickle"] = True


def poisoned(entries: dict[str, bytes]) -> None:
    entries["net/data/sample_inputs/model.pt"] = pickle.dumps(int)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (in_config(pickled), "1.weight is pickled, which could run code"),
        (in_config(huge), "damaged"),
        (in_config(outside), "damaged"),
        (lambda entries: entries.pop(CONFIG), "damaged"),
        (lambda entries: entries.pop("net/models/model.json"), "0 models in the"),
        (lambda entries: entries.update({CONFIG: b"{"}), "damaged"),
        (lambda e: e.update({"net/data/weights/weight_0": b"1234"}), "damaged"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, edit: Edit, words: str) -> None:
    path = exported(plain(), tmp_path / "net.pt2")
    edited(path, edit)

    with pytest.raises(ModelError, match=words):
        load_model(path)


def test_pickles_in_the_archive_are_not_looked_at(tmp_path: Path) -> None:
    path = exported(plain(), tmp_path / "net.pt2")
    edited(path, poisoned)

    load_model(path)


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = exported(plain(), tmp_path / "net.pt2")
    edited(path, lambda entries: None, zipfile.ZIP_DEFLATED)

    with pytest.raises(ModelError, match="is compressed"):
        load_model(path)


def test_a_cut_archive_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    path = exported(plain(), tmp_path / "net.pt2")
    path.write_bytes(path.read_bytes()[:2000])

    with pytest.raises(ModelError, match=r"not an archive of torch\.export"):
        load_model(path)
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / "other.pt2")


class InPlace(nn.Module):
    """Calls that change values which have another name; ``step`` says how."""

    def __init__(self, step: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.conv = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.last, self.other = nn.Linear(256, 3), nn.Linear(256, 3)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        return self.step(self, x)


def two_names(m: Any, x: Tensor) -> Any:
    z = nn.functional.relu6(m.first(x)).flatten(1)
    skip = m.last(z)
    out = skip
    out += m.other(z)
    return skip + out


def activated_before(m: Any, x: Tensor) -> Any:
    x = m.first(x)
    identity = x
    out = m.conv(nn.functional.relu6(x, inplace=True))
    out += identity
    return m.last(out.clamp_(0, 3).flatten(1))


def by_another_shape(m: Any, x: Tensor) -> Any:
    x = m.first(x)
    flat = x.flatten(1)
    x.clamp_(0, 1)
    return m.last(flat)


def of_the_input(m: Any, x: Tensor) -> Any:
    return m.conv(nn.functional.relu6(m.first(x.clamp_(0, 1))))


@pytest.mark.parametrize("step", [two_names, activated_before])
def test_calls_in_place_have_the_meaning_of_torch(
    tmp_path: Path, step: Callable[[Any, Tensor], Tensor]
) -> None:
    module = louder(InPlace(step))
    path = exported(module, tmp_path / "net.pt2")

    graph = load_model(path, timesteps=1)

    stimuli = images(3, SHAPE)
    x = torch.as_tensor(np.stack([s.values[0] for s in stimuli]) / 255)
    expected = module.double()(x).detach().numpy()
    np.testing.assert_allclose(evaluate(graph, stimuli)[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "words"),
    [(by_another_shape, "changed in place"), (of_the_input, "changes its input in")],
)
def test_a_change_that_cannot_be_followed_is_refused(
    tmp_path: Path, step: Callable[[Any, Tensor], Tensor], words: str
) -> None:
    path = exported(louder(InPlace(step)), tmp_path / "net.pt2")

    with pytest.raises(ModelError, match=words):
        load_model(path, timesteps=1)


@pytest.mark.parametrize(
    ("cut", "maximum"),
    [
        (nn.Hardtanh(0, 1), 1.0),
        (lambda x: torch.clamp(x, 0, 0.5), 0.5),
        (lambda x: x.clip(min=0, max=2), 2.0),
    ],
)
def test_a_relu_that_is_cut_off(tmp_path: Path, cut: Any, maximum: float) -> None:
    def step(m: Any, x: Tensor) -> Any:
        return m.last(cut(m.first(x)).flatten(1))

    path = exported(louder(InPlace(step)), tmp_path / "net.pt2")

    (relu,) = load_model(path, timesteps=1).nodes_of(Relu)

    assert relu.maximum == maximum


@pytest.mark.parametrize(
    "end", [nn.Softmax(1), nn.LogSoftmax(-1), nn.Sigmoid()], ids=str
)
def test_an_end_behind_the_outputs_is_dropped_and_said(
    tmp_path: Path, end: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    path = exported(plain(nn.Flatten(), nn.Linear(128, 3), end), tmp_path / "net.pt2")

    graph = load_model(path, timesteps=1)

    assert graph.output.name == "linear"
    assert "behind linear is dropped" in caplog.text

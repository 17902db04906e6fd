"""Modules of several inputs: one graph, whose input holds them in a row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.arrays import FloatArray
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.convert import write_graph
from snn_deploy.errors import ModelError
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.inputs import NamedInput, listed, with_places
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import chain, linear
from tests.importers.agreement import in_double, louder
from tests.importers.builders import Own

T, N = 21, 4
SHAPES = {"image": (2, 5, 5), "sound": 12}
FORMS = ("step", "first", "second", "last", "still")
MIXED = {"still_image": "image", "still_sound": "sound"}


class Two(nn.Module):
    """An image and a sound that meet; a seed draws how, ``form`` is where time is."""

    def __init__(self, seed: int, form: str = "step") -> None:
        super().__init__()
        torch.manual_seed(seed)
        draw = np.random.default_rng(seed)
        self.form = form
        self.meeting = ("cat", "add", "gate")[draw.integers(3)]
        self.is_deep, self.is_shared = draw.integers(0, 2, 2).astype(bool)
        self.conv = nn.Conv2d(2, 3, 3, padding=int(draw.integers(0, 2)))
        self.pool = nn.AvgPool2d(2) if draw.integers(2) else nn.Identity()
        size = self.pool(self.conv(torch.zeros(1, 2, 5, 5))).numel()
        self.eye, self.ear = Own(0.7, is_hard=True), Own(0.8, is_hard=False)
        self.seen = nn.Linear(size, 6)
        self.heard = nn.Linear(12, 6)
        self.last = nn.Linear(12 if self.meeting == "cat" else 6, 3)
        self.out = Own(0.9, is_hard=True)

    def step(self, image: Tensor, sound: Tensor) -> Tensor:
        seen = self.pool(self.conv(image)).flatten(1)
        heard = self.heard(sound)
        if self.meeting == "gate":
            seen, heard = self.eye(self.seen(seen)), self.ear(heard)
            met = seen * heard
        elif self.meeting == "add":
            met = self.eye(self.seen(seen) + heard)
        else:
            met = torch.cat([self.eye(self.seen(seen)), self.ear(heard)], 1)
        result: Tensor = self.out(self.last(met))
        return result

    def forward(self, image: Tensor, sound: Tensor) -> Any:
        match self.form:
            case "first":
                return torch.stack(
                    [self.step(*x) for x in zip(image, sound, strict=True)]
                )
            case "second":
                row = [self.step(image[:, t], sound[:, t]) for t in range(T)]
                return torch.stack(row, 1).mean(1)
            case "last":
                return sum(self.step(image[..., t], sound[..., t]) for t in range(T))
            case "still":
                return torch.stack([self.step(image, sound) for _ in range(T)])
            case "still_image":
                return torch.stack([self.step(image, part) for part in sound])
            case "still_sound":
                return sum(self.step(image[:, t], sound) for t in range(T))
        return self.step(image, sound)


def drawn(seed: int, still: tuple[str, ...] = ()) -> dict[str, FloatArray]:
    """Return bytes that change, ``(n, n_timesteps, ...)``, but those of some inputs."""
    draw = np.random.default_rng(seed)
    found = {
        "image": draw.integers(0, 256, (N, T, 2, 5, 5)).astype(float),
        "sound": draw.integers(0, 256, (N, T, 12)).astype(float),
    }
    for name in still:
        found[name][:] = found[name][:, :1]
    return found


def in_rows(values: dict[str, FloatArray]) -> list[Stimulus]:
    rows = np.concatenate([v.reshape(N, T, -1) for v in values.values()], axis=-1)
    return [Stimulus(values=row.astype(int), is_constant=False) for row in rows]


def exact(model: nn.Module, values: dict[str, FloatArray]) -> FloatArray:
    """Return the outputs of each timestep, of a copy in double precision."""
    ours: Any = in_double(model)
    image, sound = (torch.as_tensor(v / 255) for v in values.values())
    with torch.no_grad():
        steps = [ours.step(image[:, t], sound[:, t]) for t in range(T)]
    return np.stack([step.numpy() for step in steps], axis=1)


def saved(model: nn.Module, folder: Path, **options: Any) -> Graph:
    options = {"input_shape": SHAPES, "timesteps": T, **options}
    return snn_deploy.save(model, folder / "net.pt", **options)


@pytest.mark.parametrize("form", [*FORMS, *MIXED])
def test_every_form_of_time_is_read(form: str, tmp_path: Path) -> None:
    seed = len(form)
    model = Two(seed, form)
    louder(model)
    still = ("image", "sound") if form == "still" else (MIXED.get(form, ""),)
    values = drawn(seed, tuple(filter(None, still)))

    graph = saved(model, tmp_path)

    expected = exact(model, values)
    np.testing.assert_array_equal(evaluate(graph, in_rows(values)), expected)
    assert 0 < expected.mean() < 1
    read = load_model(tmp_path / "net.pt")
    assert read.training == graph.training
    assert listed(read.training.inputs) == "image (2, 5, 5), sound (12,)"


@pytest.mark.parametrize("seed", range(8))
def test_random_modules_compile_to_what_they_are(seed: int, tmp_path: Path) -> None:
    model = Two(seed)
    louder(model)
    values = drawn(seed)

    graph = to_spiking(saved(model, tmp_path))

    np.testing.assert_array_equal(
        evaluate(graph, in_rows(values)), exact(model, values)
    )


class Stateful(nn.Module):
    """Returns its states; its arguments are called as data call labels."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(5, 4)

    def forward(self, x: Tensor, y: Tensor, mem: Any = None) -> Any:
        mem = self.left(x) + self.right(y) + (0.0 if mem is None else 0.5 * mem)
        spikes = (mem > 1.0).to(x)
        return spikes, mem - spikes


def test_inputs_are_named_otherwise_than_in_forward(tmp_path: Path) -> None:
    model = louder(Stateful())
    shapes = {"left": 3, "right": 5}

    graph = saved(model, tmp_path, input_shape=shapes)

    assert listed(graph.training.inputs) == "left (3,), right (5,)"
    with pytest.raises(ModelError, match="'y': names no input, since data call their"):
        saved(model, tmp_path, input_shape=((3,), (5,)))


def test_shapes_by_the_names_of_forward_may_have_any_order(tmp_path: Path) -> None:
    shapes = {"sound": 12, "image": (2, 5, 5)}

    graph = saved(Two(1), tmp_path, input_shape=shapes)

    assert [given.name for given in graph.training.inputs] == ["image", "sound"]
    bare = saved(Two(1), tmp_path, input_shape=[(2, 5, 5), (12,)])
    assert bare.training == graph.training


class Rated(nn.Module):
    """A conventional network of two inputs with one scale each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(2, 3, 3), nn.Linear(4, 5)
        self.last = nn.Linear(32, 3)

    def forward(self, a: Tensor, b: Tensor) -> Any:
        a, b = torch.relu(self.a(a)).flatten(1), torch.relu(self.b(b))
        return self.last(torch.cat((a, b), 1))


def test_each_input_has_its_scale_and_its_range(tmp_path: Path) -> None:
    model = Rated().double()
    draw = np.random.default_rng(0)
    bytes_a = draw.integers(0, 256, (N, 2, 5, 5))
    bytes_b = draw.integers(0, 256, (N, 4))
    inputs = {"a": bytes_a.astype(np.uint8), "b": bytes_b / 255 * 4 - 1}

    graph = saved(
        model,
        tmp_path,
        input_shape={"a": (2, 5, 5), "b": 4},
        input_scale={"a": [2.0, 0.5]},
        input_offset={"a": (-1.0, 0.25)},
        input_range={"b": (-1, 3)},
        example_inputs=inputs,
    )

    rows = np.concatenate([bytes_a.reshape(N, -1), bytes_b], axis=1)
    found = evaluate(graph, [Stimulus(values=r[None], is_constant=True) for r in rows])
    a = bytes_a / 255 * np.reshape([2, 0.5], (2, 1, 1)) + np.reshape(
        [-1, 0.25], (2, 1, 1)
    )
    expected = model(torch.as_tensor(a), torch.as_tensor(inputs["b"]))
    np.testing.assert_allclose(found[:, 0], expected.detach(), rtol=0.05, atol=0.05)
    assert [(given.low, given.high) for given in graph.training.inputs] == [
        (0, 1),
        (-1, 3),
    ]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "three": ({"input_shape": (3, (4,), (5,))}, "takes 2 inputs .image, sound., "),
    "one": (
        {"input_shape": {"image": (2, 5, 5)}},
        "give several inputs by name, or of",
    ),
    "size": ({"input_shape": {"image": (2, 5, 0), "sound": 12}}, "sizes of 1 or more"),
    "scale": ({"input_scale": {"smell": 2.0}}, "input_scale names smell, the inputs"),
    "range": ({"input_range": {"sound": (1, 0)}}, "sound: input_range is 1 to 0"),
    "events": (
        {"input_range": {"sound": (-1, 1)}, "encoding": "events"},
        "encoding 'events' has none",
    ),
    "bias": ({"encoding": "bias"}, "is for one input, not 2"),
    "head": ({"heads": ["sound"]}, "sound: is an input and a head"),
    "examples": ({"example_inputs": [np.zeros((3, 12))]}, "give a dict of arrays"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_told_wrongly_is_refused(case: str, tmp_path: Path) -> None:
    options, message = REFUSED[case]

    with pytest.raises(ModelError, match=message):
        saved(Two(1), tmp_path, **options)


@pytest.mark.parametrize("form", ["step", "first"])
def test_the_shape_of_one_of_two_inputs_is_told_as_that(
    form: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="if sound is an input, too, give the shape o"):
        saved(Two(1, form), tmp_path, input_shape=(2, 5, 5))


def built() -> nn.Module:
    return louder(Two(1))


def test_a_builder_takes_the_shapes_by_name(tmp_path: Path) -> None:
    torch.save(built().state_dict(), tmp_path / "weights.pt")
    named: Any = {"image": (2, 5, 5), "sound": (12,)}

    found = load_model(
        tmp_path / "weights.pt",
        builder=f"{__name__}:built",
        input_shape=named,
        timesteps=T,
    )

    assert found.training.inputs == saved(built(), tmp_path).training.inputs


def test_an_input_that_nothing_uses_is_refused(tmp_path: Path) -> None:
    class Deaf(Two):
        def step(self, image: Tensor, sound: Tensor) -> Tensor:
            return super().step(image, torch.zeros_like(sound))

    with pytest.raises(ModelError, match="input sound; leave it out"):
        saved(Deaf(1), tmp_path)


def test_the_places_of_inputs_are_those_of_their_order(tmp_path: Path) -> None:
    inputs = saved(Two(1), tmp_path).training.inputs

    assert [place for _, place in with_places(inputs)] == [slice(0, 50), slice(50, 62)]


class Pooled(nn.Module):
    """Takes the largest of the spikes of one input, and adds the other one."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.conv = nn.MaxPool2d(2), nn.Conv2d(2, 2, 2)
        self.near, self.out = nn.Linear(12, 2), Own(0.5, is_hard=True)

    def step(self, image: Tensor, sound: Tensor) -> Tensor:
        seen = self.conv(self.pool(image)).flatten(1)
        result: Tensor = self.out(seen + self.near(sound))
        return result

    def forward(self, image: Tensor, sound: Tensor) -> Tensor:
        return self.step(image, sound)


def test_spikes_of_one_input_are_pooled(tmp_path: Path) -> None:
    model = louder(Pooled())
    values = {name: (v > 150) * 255.0 for name, v in drawn(0).items()}

    graph = saved(model, tmp_path, encoding="events")

    spikes = in_rows({name: v / 255 for name, v in values.items()})
    expected = exact(model, values)
    assert 0 < expected.mean() < 1
    for same in (graph, to_spiking(graph)):
        np.testing.assert_array_equal(evaluate(same, spikes), expected)


def of(*shapes: int, **changes: Any) -> Training:
    inputs = tuple(NamedInput(name=f"in{i}", shape=(n,)) for i, n in enumerate(shapes))
    given: dict[str, Any] = {"timesteps": 2, "encoding": Encoding.DIRECT, **changes}
    return Training(**{"inputs": inputs, **given})


def test_scaled_inputs_are_no_nodes_of_nir(tmp_path: Path) -> None:
    graph = saved(louder(Two(0)), tmp_path, input_range={"sound": (0, 15)})

    with pytest.raises(
        ModelError, match=r"Input nodes .* is not scaled; write input_sc"
    ):
        write_graph(graph, tmp_path / "net.nir")


def test_inputs_that_are_not_those_of_the_network_are_refused() -> None:
    twice = (NamedInput(name="a", shape=(2,)),) * 2
    with pytest.raises(ModelError, match="2 inputs are called a; give each its own"):
        chain(linear("fc", 4, 2), training=of(inputs=twice))
    with pytest.raises(ModelError, match=r"inputs have 5 values, the network takes"):
        chain(linear("fc", 4, 2), training=of(2, 3))
    with pytest.raises(ModelError, match=r"0 to 2 beside 2 inputs; .* are for modules"):
        of(2, 2, input_high=2.0)

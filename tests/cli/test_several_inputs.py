"""Networks of several inputs: data by name, from Python and the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.arrays import AnyArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.errors import DataError
from tests.cli.conftest import Command
from tests.importers.builders import Own
from tests.importers.test_several_files import Rated, byte_inputs, exported

N, T = 60, 6


class Meeting(nn.Module):
    """Where an image and a sound are loud at one place, that place is the answer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.eye, self.ear = Own(0.5, is_hard=True), Own(0.5, is_hard=True)
        self.seen, self.heard = nn.Linear(32, 4), nn.Linear(8, 4)
        self.last, self.out = nn.Linear(8, 4), Own(0.9, is_hard=False)
        draw = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for layer in (self.conv, self.seen, self.heard):
                layer.weight.normal_(0.0, 0.1, generator=draw)
            rows = torch.eye(4).repeat_interleave(4, 1)
            self.seen.weight.copy_(torch.cat([rows, rows], 1) * 0.6 - 0.1)
            self.conv.weight[:, 0, 1, 1] += 1
            self.heard.weight += torch.eye(4).repeat_interleave(2, 1)
            self.last.bias.zero_()
            self.last.weight.copy_(torch.cat([torch.eye(4), torch.eye(4)], 1) * 0.6)

    def forward(self, image: Any, sound: Any) -> Any:
        seen = self.eye(self.seen(self.conv(image).flatten(1)))
        return self.out(self.last(torch.cat([seen, self.ear(self.heard(sound))], 1)))


@pytest.fixture(scope="module")
def data() -> dict[str, AnyArray]:
    draw = np.random.default_rng(0)
    y = np.arange(N) % 4
    image = draw.integers(0, 40, (N, 1, 4, 4)).astype(np.uint8)
    image[np.arange(N), 0, y] += 150
    sound = draw.random((N, 8)) / 8
    sound[np.arange(N), 2 * y] += 0.6
    return {"image": image, "sound": np.rint(sound * 255) / 255, "y": y}


@pytest.fixture(scope="module")
def network() -> sd.Network:
    shapes = {"image": (1, 4, 4), "sound": 8}
    return sd.compile(Meeting(), input_shape=shapes, timesteps=T)


def in_forms(data: dict[str, AnyArray], form: str) -> tuple[Any, Any]:
    """Return the data as a user may hold them, and the labels beside."""
    image, sound, y = data.values()
    items = list(zip(image, sound, y, strict=True))
    match form:
        case "dict":
            return {"sound": sound, "image": image}, y
        case "tuple":
            return (image, torch.as_tensor(sound)), y
        case "pairs":
            return [((a, b), label) for a, b, label in items], None
        case "flat items":
            return items, None
        case "dicts":
            return [{"image": a, "sound": b, "label": c} for a, b, c in items], None
        case "named pairs":
            return [({"sound": b, "image": a}, c) for a, b, c in items], None
    tensors = map(torch.as_tensor, (image, sound, y))
    loaded = torch.utils.data.TensorDataset(*tensors)
    return torch.utils.data.DataLoader(loaded, batch_size=7), None


@pytest.mark.parametrize(
    "form",
    ["dict", "tuple", "pairs", "flat items", "dicts", "named pairs", "loader"],
)
def test_data_come_in_every_form(
    form: str, network: sd.Network, data: dict[str, AnyArray]
) -> None:
    x, y = in_forms(data, form)

    found = network.profile(x, y, progress=False, limit=1, has_rivals=False).data

    rows = [data["image"].reshape(N, -1) / 255, data["sound"]]
    np.testing.assert_allclose(found.x, np.concatenate(rows, axis=1), atol=1e-12)
    np.testing.assert_array_equal(found.y, data["y"])


def test_one_input_is_asked_for_in_both_ways(
    network: sd.Network, data: dict[str, AnyArray]
) -> None:
    image, sound, y = (values[5] for values in data.values())

    one, other = network(image, sound), network({"sound": sound, "image": image})

    assert one == other
    assert one.prediction == y
    assert "inputs: image (1, 4, 4), sound (8,)" in repr(network)
    with pytest.raises(DataError, match=r"image has the shape \(60, 1, 4, 4\), and a"):
        network(data["image"], sound)
    with pytest.raises(DataError, match=r"a call takes the inputs image \(1, 4, 4\), "):
        network(image)


def test_what_stays_is_repeated_beside_what_changes(
    network: sd.Network, data: dict[str, AnyArray]
) -> None:
    sounds = np.repeat(data["sound"][:, None], T, axis=1)
    sounds[:, 3:] = 0

    found = network.profile(
        (data["image"], sounds), data["y"], progress=False, has_rivals=False
    ).data

    assert found.x.shape == (N, T, 24)
    assert (found.x[:, :, :16] == found.x[:, :1, :16]).all()
    assert not found.x[:, 3:, 16:].any()


REFUSED: dict[str, tuple[tuple[str, ...], dict[str, AnyArray], str]] = {
    "missing": (("sound",), {}, r"has no 'sound' but image, y; the network takes imag"),
    "unknown": ((), {"smell": np.zeros((N, 2))}, r"'smell' names no input; the netwo"),
    "shape": ((), {"sound": np.zeros((N, 9))}, r"sound has the shape \(60, 9\), the n"),
    "number": ((), {"sound": np.zeros((9, 8))}, r"not as many inputs of each \(image "),
    "range": (
        (),
        {"sound": np.full((N, 8), 2.0)},
        r"sound: x reaches from 2 to 2, allowed",
    ),
    "none": (
        ("y",),
        {"image": np.zeros((0, 1, 4, 4)), "sound": np.zeros((0, 8))},
        "holds no inputs; add at least one",
    ),
    "recorded": (
        (),
        {"sound": np.zeros(N, dtype=[("x", int), ("t", int)])},
        "sound is a recording of events, one of 2 inputs; bin it",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_do_not_fit_are_refused(
    case: str, network: sd.Network, data: dict[str, AnyArray]
) -> None:
    without, more, message = REFUSED[case]
    given = {k: v for k, v in {**data, **more}.items() if k not in without}

    with pytest.raises(DataError, match=message):
        network.profile(given, progress=False)


def test_dark_bytes_of_one_input_are_told_beside_bright_ones(
    network: sd.Network, data: dict[str, AnyArray]
) -> None:
    """Zeros and ones that are bytes would be silence, and 255 of the image hides it."""
    ones = (data["sound"] > 0.5).astype(np.uint8)

    def remarks(sound: AnyArray) -> list[str]:
        given = {**data, "sound": sound}
        found = network.profile(given, progress=False, limit=1, has_rivals=False)
        return found.data.remarks()

    for sound, n in ((ones, 1), (255 * ones, 0), (ones.astype(float), 0)):
        told = [r for r in remarks(sound) if "the bytes of sound reach to 1, and" in r]
        assert len(told) == n


def test_items_that_do_not_fit_are_refused(
    network: sd.Network, data: dict[str, AnyArray]
) -> None:
    image, sound, _ = data.values()

    with pytest.raises(DataError, match=r"give .\(image, sound\), label., or dicts by"):
        network.profile([(one,) for one in image], progress=False)
    with pytest.raises(DataError, match="x is one array, the network takes image, so"):
        network.profile(image, progress=False)
    images = [np.repeat(image[:1], n, axis=0) for n in (3, 5)]
    sounds = [np.repeat(sound[:1], n, axis=0) for n in (4, 5)]
    items = list(zip(images, sounds, strict=True))
    with pytest.raises(DataError, match="sound: lasts for other timesteps than the"):
        network.profile(items, progress=False)


def test_engine_reference_and_lava_give_the_same(
    network: sd.Network, data: dict[str, AnyArray], other_backend: str
) -> None:
    given = {name: values[:4] for name, values in data.items()}
    stimuli = network.profile(given, progress=False, has_rivals=False).data.stimuli()
    inputs = list(stimuli)
    mapped = network.artifact.network
    found = []
    for name in ("cpu", other_backend):
        program = open_backend(name).load(mapped)
        try:
            results = list(run_inputs(program, mapped, inputs, never))
        finally:
            program.close()
        found.append([result.scores.tolist() for result in results])

    assert all(each == found[0] for each in found)
    assert len({*map(str, found[0])}) > 1


def test_commands_take_data_by_name(
    command: Command, data: dict[str, AnyArray], tmp_path: Path
) -> None:
    model, path, file = (tmp_path / n for n in ("m.pt", "m.snn", "data.npz"))
    sd.save(Meeting(), model, input_shape=[(1, 4, 4), (8,)], timesteps=T)
    np.savez(file, **data)  # type: ignore[arg-type]

    shown = command("inspect", model)
    compiled = command("compile", model, "-o", path)
    calibrated = command("calibrate", path, "--data", file, "--budget", "0.1")
    profiled = command("profile", path, "--data", file, "-o", tmp_path / "profile")
    verified = command("verify", path, "--against", model, "--data", file)
    served = command("serve", path, "--data", file)

    assert "sound" in shown.out
    assert "16 to 23" in shown.out
    for done in (compiled, calibrated, profiled, verified, served):
        assert done.status == 0, done.err
    summary = json.loads((tmp_path / "profile" / "summary.json").read_text())
    assert summary["all_timesteps"]["accuracy"] > 0.9
    answers = [json.loads(line) for line in served.out.splitlines()]
    assert [answer["label"] for answer in answers] == data["y"].tolist()


def test_the_header_of_the_c_says_where_each_input_lies(
    network: sd.Network, tmp_path: Path
) -> None:
    network.to_c(tmp_path / "c")

    for name in ("snn.h", "README.md"):
        text = (tmp_path / "c" / name).read_text(encoding="utf-8")
        assert "24 (0 to 15: image 1 x 4 x 4, from 0 to 1; 16 to 23: sound 8," in text


def test_onnx_of_two_inputs_runs_from_the_command_line(
    command: Command, tmp_path: Path
) -> None:
    path, net = exported(Rated(3), tmp_path / "two.onnx"), tmp_path / "two.snn"
    data, one = tmp_path / "data.npz", tmp_path / "one.npz"
    x = byte_inputs(0)
    np.savez(data, y=np.arange(20) % 4, **x)  # type: ignore[arg-type]
    np.savez(one, x=x["ear"])

    done = command("compile", path, "--balance-on", data, "-o", net)
    refused = command("compile", path, "--balance-on", one, "-o", net).error()
    profiled = command("profile", net, "--data", data, "-o", tmp_path / "out")

    assert (done.status, profiled.status) == (0, 0), done.err + profiled.err
    assert "conversion, 20 inputs" in done.out
    assert "balance_on: has no 'eye', 'ear' but x; the network takes eye" in refused


def built() -> nn.Module:
    return Meeting()


def test_a_network_of_its_own_builder_names_its_inputs(
    command: Command, data: dict[str, AnyArray], tmp_path: Path
) -> None:
    weights, net, file = (tmp_path / n for n in ("w.pt", "w.snn", "data.npz"))
    torch.save(built().state_dict(), weights)
    np.savez(file, **data)  # type: ignore[arg-type]
    own = ("--builder", f"{__name__}:built")
    shapes = ("--input-shape", "image=1,4,4/sound=8", "--timesteps", T)

    done = command("compile", weights, *own, *shapes, "-o", net)
    verified = command(
        "verify", net, "--against", weights, *own, "--data", file, "--limit", 4
    )
    refused = command("compile", weights, *own, "--input-shape", "a=1/a=2")

    assert (done.status, verified.status) == (0, 0), done.err + verified.err
    assert "names an input twice" in refused.err

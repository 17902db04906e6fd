"""Files that users get wrong: one clear line, status 1, nothing half written."""

import errno
import io
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snn_deploy.artifact import VERSION, _manifest_sha256
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.torch import file as model_file
from tests.cli.conftest import MODEL, Command, files_in
from tests.hostile.networks import SHAPE, write_all


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small ``model.pt``, ``model.snn`` and ``data.npz``."""
    folder = tmp_path_factory.mktemp("small")
    write_all(folder)
    return folder


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder that a test may spoil."""
    return Path(shutil.copytree(small, tmp_path / "folder"))


# models


def compile_error(command: Command, model: Path, target: str = "loihi-sim") -> str:
    """Return the error of compiling ``model``; nothing may be written."""
    output = model.parent / "out"
    output.mkdir()
    result = command("compile", model, "--target", target, "-o", output / "net.snn")
    assert files_in(output) == []
    return result.error()


def test_a_missing_model_is_named(command: Command, tmp_path: Path) -> None:
    error = compile_error(command, tmp_path / "none.pt")

    assert error == f"{tmp_path / 'none.pt'}: no such file; check the path"


def test_a_model_of_an_unknown_format_is_refused(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "model.h5").touch()

    error = compile_error(command, tmp_path / "model.h5")

    assert "models end in .pt" in error


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04", bytes(1000)])
def test_a_file_that_is_no_model_is_refused(
    command: Command, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)

    assert compile_error(command, path).startswith(f"{path}: ")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_model_that_is_cut_short_is_refused(
    command: Command, folder: Path, kept: float
) -> None:
    path = folder / "model.pt"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    assert f"{path}: not a model, or cut short" in compile_error(command, path)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("protocol", ["zip", "plain pickle"])
def test_a_pickle_that_would_run_code_is_refused_without_running_it(
    command: Command, tmp_path: Path, protocol: str
) -> None:
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    content = {"format": "snn-deploy model", "version": 1, "graph": Bomb(trace)}
    if protocol == "zip":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))

    error = compile_error(command, path)

    assert "holds Python objects, which could run code; save the model with" in error
    assert not trace.exists()
    pickle.loads(pickle.dumps(content))
    assert trace.exists()  # the bomb works


def test_a_pickled_module_is_refused(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(nn.Linear(2, 2), path)

    assert "holds Python objects, which could run code" in compile_error(command, path)


def test_a_bare_state_dict_is_refused_with_what_to_do(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    torch.save(nn.Linear(2, 2).state_dict(), path)

    error = compile_error(command, path)

    assert "a bare state_dict has no layers; name the function" in error


def rewrite_model(path: Path, change: Callable[[Any, dict[str, Any]], None]) -> None:
    """Edit the description and the tensors of a model, as another program might."""
    content = torch.load(path, weights_only=True)
    graph = json.loads(content["graph"])
    change(graph, content["tensors"])
    content["graph"] = json.dumps(graph)
    content["sha256"] = model_file._sha256(content["graph"], content["tensors"])
    torch.save(content, path)


def conv(graph: Any) -> Any:
    return next(node for node in graph["nodes"] if node["type"] == "Conv2d")


def set_stride_to_zero(graph: Any, tensors: dict[str, Any]) -> None:
    conv(graph)["stride"] = [0, 0]


def set_groups_to_zero(graph: Any, tensors: dict[str, Any]) -> None:
    conv(graph)["groups"] = 0


def invent_a_layer(graph: Any, tensors: dict[str, Any]) -> None:
    conv(graph)["type"] = "Conv7d"


def forget_a_parameter(graph: Any, tensors: dict[str, Any]) -> None:
    del conv(graph)["padding"]


def forget_a_tensor(graph: Any, tensors: dict[str, Any]) -> None:
    del tensors[conv(graph)["weight"]["tensor"]]


def flatten_a_tensor(graph: Any, tensors: dict[str, Any]) -> None:
    name = conv(graph)["weight"]["tensor"]
    tensors[name] = tensors[name].flatten()


def close_a_loop(graph: Any, tensors: dict[str, Any]) -> None:
    first, second = (edge["source"] for edge in graph["edges"][1:3])
    graph["edges"].append(
        {"type": "Edge", "source": second, "target": first, "delay": 0}
    )


def nest_too_deeply(graph: Any, tensors: dict[str, Any]) -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    graph["nodes"] = deep


def show_no_timesteps(graph: Any, tensors: dict[str, Any]) -> None:
    graph["training"]["timesteps"] = 0


@pytest.mark.parametrize(
    "change",
    [
        set_stride_to_zero,
        set_groups_to_zero,
        invent_a_layer,
        forget_a_parameter,
        forget_a_tensor,
        flatten_a_tensor,
        close_a_loop,
        nest_too_deeply,
        show_no_timesteps,
    ],
)
def test_a_model_with_an_impossible_description_is_refused(
    command: Command, folder: Path, change: Callable[[Any, dict[str, Any]], None]
) -> None:
    path = folder / "model.pt"
    rewrite_model(path, change)

    assert compile_error(command, path).startswith(f"{path}: ")


def test_a_weight_that_was_edited_is_found_by_its_checksum(
    command: Command, folder: Path
) -> None:
    path = folder / "model.pt"
    content = torch.load(path, weights_only=True)
    next(iter(content["tensors"].values())).view(-1)[0] += 1
    torch.save(content, path)

    assert "its checksum is another" in compile_error(command, path)


def test_weights_that_are_no_number_are_refused_with_layer_and_count(
    command: Command, folder: Path
) -> None:
    path = folder / "model.pt"

    def spoil(graph: Any, tensors: dict[str, Any]) -> None:
        tensors[conv(graph)["weight"]["tensor"]].view(-1)[:2] = float("nan")

    rewrite_model(path, spoil)

    error = compile_error(command, path)

    assert "0: weight holds 2 values that are no finite number" in error


# targets


def test_an_unknown_target_suggests_the_nearest(command: Command, folder: Path) -> None:
    error = compile_error(command, folder / "model.pt", "lohi2")

    assert error.startswith("no target is called 'lohi2'; did you mean 'loihi2'?")


def test_a_target_like_none_lists_them(command: Command, folder: Path) -> None:
    error = compile_error(command, folder / "model.pt", "truenorth")

    assert "choose loihi-sim, loihi1, loihi2" in error


def test_a_direct_encoding_on_a_chip_without_graded_spikes_is_refused(
    command: Command, folder: Path
) -> None:
    error = compile_error(command, folder / "model.pt", "loihi1")

    assert "direct encoding sends graded spikes, loihi1 has none" in error


def test_a_network_that_does_not_fit_lists_every_violation(
    command: Command, tmp_path: Path
) -> None:
    text = (packaged_folder("targets") / "loihi-sim.toml").read_text()
    for name, value in (("compartments", 8192), ("input_axons", 4096)):
        text = text.replace(f"{name} = {value}", f"{name} = 5")
    text = text.replace("neurocores = 128", "neurocores = 3")
    target = tmp_path / "tiny.toml"
    target.write_text(text)

    result = command("compile", MODEL, "--target", target, "-o", tmp_path / "net.snn")

    first, *lines = result.err.splitlines()
    assert result.status == 1
    assert "does not fit loihi-sim; use fewer channels or neurons" in first
    kinds = {line.split(", allowed are ")[0].split(maxsplit=1)[1] for line in lines}
    assert any("neurocores" in kind for kind in kinds)
    assert any("input axons" in kind for kind in kinds)
    assert files_in(tmp_path) == ["tiny.toml"]


# compiled networks


def run_error(command: Command, folder: Path) -> str:
    """Return the error of running the network in ``folder``, however it is run."""
    before = files_in(folder)
    network, data = folder / "model.snn", folder / "data.npz"
    shown = command("inspect", network).error()
    run = command("run", network, "--data", data).error()
    profile = command("profile", network, "--data", data, "-o", folder / "p").error()
    calibrate = command("calibrate", network, "--data", data).error()
    assert shown == run == profile == calibrate
    assert files_in(folder) == before
    return shown


@pytest.mark.parametrize("content", [b"", b"no network", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_network_is_refused(
    command: Command, folder: Path, content: bytes
) -> None:
    (folder / "model.snn").write_bytes(content)

    assert "compile the model again" in run_error(command, folder)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_network_that_is_cut_short_is_refused(
    command: Command, folder: Path, kept: float
) -> None:
    path = folder / "model.snn"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    assert "not a compiled network, or cut short" in run_error(command, folder)


@pytest.mark.parametrize("entry", ["manifest.json", "tensors.safetensors"])
def test_a_flipped_byte_is_found(command: Command, folder: Path, entry: str) -> None:
    path = folder / "model.snn"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(entry).header_offset
    content[start + 500] ^= 1
    path.write_bytes(content)

    assert f"Bad CRC-32 for file '{entry}'" in run_error(command, folder)


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(
    path: Path, entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED
) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, compression)


def edited(path: Path, change: Callable[[Any], None]) -> None:
    """Change the manifest of a network and write a valid zip again."""
    entries = entries_of(path)
    manifest = json.loads(entries["manifest.json"])
    change(manifest)
    entries["manifest.json"] = json.dumps(manifest).encode()
    write_zip(path, list(entries.items()))


def raise_an_exponent(manifest: Any) -> None:
    manifest["network"]["graph"]["projections"][0]["exponent"] += 1


def promise_more(manifest: Any) -> None:
    manifest["calibration"]["confidence"] = 0.999


def rename_the_rule(manifest: Any) -> None:
    manifest["calibration"]["rule"] = "topk"


def widen_the_chip(manifest: Any) -> None:
    manifest["network"]["target"]["neurocore"]["compartments"] = 10**6


@pytest.mark.parametrize(
    "change", [raise_an_exponent, promise_more, rename_the_rule, widen_the_chip]
)
def test_a_manifest_that_was_edited_is_refused(
    command: Command, folder: Path, change: Callable[[Any], None]
) -> None:
    edited(folder / "model.snn", change)

    assert "damaged or edited (the manifest has another checksum)" in run_error(
        command, folder
    )


def test_a_threshold_that_was_edited_is_refused(command: Command, folder: Path) -> None:
    path = folder / "model.snn"
    entries = entries_of(path)
    tensors = bytearray(entries["tensors.safetensors"])
    tensors[-1] ^= 1
    entries["tensors.safetensors"] = bytes(tensors)
    write_zip(path, list(entries.items()))

    assert "damaged or edited (the tensors have another" in run_error(command, folder)


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{", b"[]", b"null", b'{"format": "snn"}', b"[" * 100_000, b"\xff\xfe{"],
    ids=["empty", "cut", "list", "null", "other", "deep", "no text"],
)
def test_a_manifest_that_is_none_is_refused(
    command: Command, folder: Path, manifest: bytes
) -> None:
    path = folder / "model.snn"
    tensors = entries_of(path)["tensors.safetensors"]
    write_zip(path, [("manifest.json", manifest), ("tensors.safetensors", tensors)])

    assert "damaged or edited" in run_error(command, folder)


def test_a_network_of_another_version_says_which_is_read(
    command: Command, folder: Path
) -> None:
    def change(manifest: Any) -> None:
        manifest["version"] = 99

    edited(folder / "model.snn", change)

    error = run_error(command, folder)

    assert f"99, this program reads 'snn-deploy network' version {VERSION}" in error
    assert "compile the model again, and calibrate" in error


@pytest.mark.parametrize("name", ["extra.txt", "../escape", "/etc/escape", "a/../b"])
def test_a_zip_with_another_entry_is_refused_and_writes_nothing_outside(
    command: Command, folder: Path, name: str
) -> None:
    path = folder / "model.snn"
    write_zip(path, [*entries_of(path).items(), (name, b"x")])

    assert "damaged or edited (it holds" in run_error(command, folder)
    assert not (folder.parent / "escape").exists()


def test_a_zip_with_an_entry_twice_is_refused(command: Command, folder: Path) -> None:
    path = folder / "model.snn"
    items = list(entries_of(path).items())
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_zip(path, [*items, items[0]])

    assert "damaged or edited (it holds" in run_error(command, folder)


def test_a_zip_that_is_compressed_is_refused(command: Command, folder: Path) -> None:
    path = folder / "model.snn"
    items = list(entries_of(path).items())
    write_zip(path, items, zipfile.ZIP_DEFLATED)

    assert "is compressed or too large" in run_error(command, folder)


def test_a_calibration_of_another_network_is_refused(
    command: Command, folder: Path
) -> None:
    def change(manifest: Any) -> None:
        del manifest["manifest_sha256"]
        manifest["calibration"]["network_sha256"] = "f" * 64
        manifest["manifest_sha256"] = _manifest_sha256(manifest)

    edited(folder / "model.snn", change)

    error = run_error(command, folder)

    assert "calibrated on another network; run snn-deploy calibrate again" in error


# data


def data_error(command: Command, folder: Path) -> str:
    """Return the error of the data, the same whatever they are for."""
    network, data = folder / "model.snn", folder / "data.npz"
    content = network.read_bytes()
    before = files_in(folder)
    run = command("run", network, "--data", data).error()
    profile = command("profile", network, "--data", data, "-o", folder / "p").error()
    calibrate = command("calibrate", network, "--data", data).error()
    assert run == profile == calibrate
    assert run.startswith(f"{data}: ")
    assert files_in(folder) == before
    assert network.read_bytes() == content
    return run


X = np.zeros((3, *SHAPE), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 1, 5, 5), np.uint8)}, "inputs of shape (1, 5, 5), the"),
        ({"x": np.zeros((3, 16), np.uint8)}, "the network takes (1, 4, 4); store x as"),
        ({"x": np.uint8(3)}, "inputs of shape ()"),
        ({"x": X[:0]}, "holds no inputs; add at least one"),
        ({"pictures": X}, "has no 'x' but pictures; store the inputs as 'x'"),
        ({}, "has no 'x' but nothing"),
        ({"x": np.full((3, *SHAPE), np.nan)}, "x[0, 0, 0, 0] is nan; remove"),
        ({"x": np.full((3, *SHAPE), -np.inf)}, "x[0, 0, 0, 0] is -inf"),
        ({"x": np.full((3, *SHAPE), 255.0)}, "reaches from 255 to 255, allowed is 0"),
        ({"x": np.full((3, *SHAPE), -0.1)}, "reaches from -0.1 to -0.1"),
        ({"x": X.astype(np.int64)}, "x has type int64; store floats from 0 to 1"),
        ({"x": X.astype(bool)}, "x has type bool"),
        ({"x": X.astype(complex)}, "x has type complex128"),
        ({"x": X.astype(str)}, "x has type <U"),
        ({"x": X, "y": np.zeros(2, int)}, "y is int64 of shape (2,); store integers"),
        ({"x": X, "y": np.zeros((3, 1), int)}, "y is int64 of shape (3, 1)"),
        ({"x": X, "y": np.zeros(3)}, "y is float64 of shape (3,)"),
        ({"x": X, "y": np.array([1, 2, 3])}, "y reaches from 1 to 3, the network has"),
        ({"x": X, "y": np.array([0, -1, 2])}, "3 outputs; count labels from 0"),
        ({"x": X.astype(object)}, "not an .npz of plain arrays"),
        ({"x": X, "z": np.array([Path()])}, "not an .npz of plain arrays"),
    ],
)
def test_data_that_the_network_cannot_take_are_refused(
    command: Command, folder: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(folder / "data.npz", **arrays)

    assert message in data_error(command, folder)


def test_missing_data_are_named(command: Command, folder: Path) -> None:
    (folder / "data.npz").unlink()

    assert data_error(command, folder).endswith(": no such file; check the path")


def plain_array() -> bytes:
    file = io.BytesIO()
    np.save(file, X)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an .npz of plain arrays, or cut short"),
        (b"1,2,3\n", "not an .npz of plain arrays"),
        (pickle.dumps({"x": [1]}), "not an .npz of plain arrays"),
        (plain_array()[:-1], "not an .npz of plain arrays, or cut short"),
    ],
    ids=["empty", "text", "pickle", "npy"],
)
def test_a_file_that_is_no_npz_is_refused(
    command: Command, folder: Path, content: bytes, message: str
) -> None:
    (folder / "data.npz").write_bytes(content)

    assert message in data_error(command, folder)


def test_data_that_are_cut_short_are_refused(command: Command, folder: Path) -> None:
    path = folder / "data.npz"
    path.write_bytes(path.read_bytes()[:-50])

    assert "cut short" in data_error(command, folder)


def test_an_array_that_claims_more_than_the_memory_is_refused(
    command: Command, folder: Path
) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 60, *SHAPE)}
    )
    write_zip(folder / "data.npz", [("x.npy", header.getvalue())])

    data_error(command, folder)


# places to write to


Write = tuple[str, ...]


@pytest.fixture(params=["compile", "calibrate", "profile"])
def writing(request: pytest.FixtureRequest, folder: Path) -> Write:
    """Return a command line that writes into ``folder``."""
    data = ("--data", str(folder / "data.npz"))
    network = str(folder / "model.snn")
    lines: dict[str, Write] = {
        "compile": (
            *("compile", str(folder / "model.pt"), "--target", "loihi-sim"),
            *("-o", network),
        ),
        "calibrate": ("calibrate", network, *data),
        "profile": (
            *("profile", network, *data, "--backend", "cpu"),
            *("-o", str(folder / "p")),
        ),
    }
    return lines[request.param]


def content_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in sorted(paths)}


def test_a_full_disk_leaves_every_file_as_it_was(folder: Path, writing: Write) -> None:
    before = content_of(folder)

    def limit() -> None:  # no file may grow, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    failed = subprocess.run(
        [sys.executable, "-m", "snn_deploy", *writing],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # it would cut short ours
    )

    assert failed.returncode == 1
    assert failed.stderr.startswith(f"error: {folder}")
    assert failed.stderr.endswith("; check space and permissions\n")
    assert failed.stderr.count("\n") == 1
    assert content_of(folder) == before


def test_an_error_at_the_last_moment_leaves_every_file_as_it_was(
    command: Command, folder: Path, writing: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_of(folder)

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "temporary")

    monkeypatch.setattr("os.replace", fail)

    result = command(*writing)

    assert result.status == 1
    assert "No space left on device; check space and permissions" in result.err
    assert str(folder) in result.err
    assert content_of(folder) == before


def test_an_interrupt_leaves_every_file_as_it_was(
    command: Command, folder: Path, writing: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_of(folder)

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)

    result = command(*writing)

    assert result.status == 130
    assert result.err == "interrupted\n"
    assert content_of(folder) == before


def test_an_output_in_a_folder_that_does_not_exist_is_refused(
    command: Command, folder: Path
) -> None:
    output = folder / "nowhere" / "net.snn"

    result = command(
        "compile", folder / "model.pt", "--target", "loihi-sim", "-o", output
    )

    assert result.error() == f"{output.parent}: no such folder; check the path"


def test_an_output_that_is_a_folder_is_refused(command: Command, folder: Path) -> None:
    result = command(
        "compile", folder / "model.pt", "--target", "loihi-sim", "-o", folder
    )

    assert result.error() == f"{folder}: a compiled network ends in .snn; rename it"


@pytest.mark.parametrize("place", ["data.npz", "data.npz/profile"])
def test_a_profile_cannot_lie_where_a_file_is(
    command: Command, folder: Path, place: str
) -> None:
    before = content_of(folder)

    result = command(
        "profile",
        folder / "model.snn",
        "--data",
        folder / "data.npz",
        "-o",
        folder / place,
        "--backend",
        "cpu",
    )

    assert f"{folder / place}: " in result.error()
    assert content_of(folder) == before

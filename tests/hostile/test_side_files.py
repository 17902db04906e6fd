"""Files beside networks and inputs: data sets, sweeps, profiles, pipes, checkpoints."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from snn_deploy.data import cifar10
from snn_deploy.data.cifar10 import JPEG_FILE, TEST_FILES, read_cifar10
from snn_deploy.data.streams import from_pipe
from snn_deploy.errors import ArtifactError, DataError
from snn_deploy.profile.diff import read_profile
from snn_deploy.profile.sweep import MEASURED, _kept
from snn_deploy.profile.sweep_file import Point, read_sweep
from snn_deploy.profile.tables import NOTES, write_rows
from snn_deploy.profile.traffic import DETAIL, read_traffic
from snn_deploy.training.checkpoint import read_checkpoint
from tests.data.test_cifar10 import write_binaries, write_jpegs
from tests.data.test_streams import graph
from tests.hostile.readers import rows
from tests.hostile.test_malicious import FillsMemory, rewritten

pytestmark = pytest.mark.usefixtures("little_time_and_memory")


class Bomb:
    """Leaves a trace if it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


# CIFAR-10


def test_a_pickle_among_images(tmp_path: Path) -> None:
    bomb = np.array([Bomb(tmp_path / "trace")], dtype=object)
    write_jpegs(tmp_path, train_jpeg=bomb)

    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        read_cifar10(tmp_path)

    assert not (tmp_path / "trace").exists()


def test_a_zip_bomb_of_labels(tmp_path: Path) -> None:
    """Ten kilobytes of labels would make 30 gigabytes of images."""
    n = 10**7
    np.savez_compressed(
        tmp_path / JPEG_FILE,
        train_labels=np.zeros(n, np.uint8),
        train_offsets=np.broadcast_to(np.uint8(0), n + 1),
        train_jpeg=np.zeros(9, np.uint8),
    )

    with pytest.raises(DataError, match="the same number is needed, 50000 at most"):
        read_cifar10(tmp_path)


@pytest.mark.parametrize("side", [33, 3000, 60_000])
def test_an_image_that_declares_another_size(tmp_path: Path, side: int) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    content = bytearray(stream.getvalue())
    frame = content.index(b"\xff\xc0") + 5  # height and width follow
    content[frame : frame + 4] = side.to_bytes(2, "big") * 2
    jpeg = np.frombuffer(bytes(content), np.uint8)
    write_jpegs(
        tmp_path,
        train_jpeg=jpeg,
        train_offsets=np.array([0, jpeg.size]),
        train_labels=np.zeros(1, np.uint8),
    )

    with pytest.raises(DataError, match=f"image 0 is {side} x {side} large, not 32"):
        read_cifar10(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train_jpeg": np.zeros((20, 9), int)},
            r"train_jpeg has shape \(20, 9\)",
        ),
        ({"train_labels": np.zeros(20)}, "no integers are called train_labels"),
        ({"train_labels": np.full(20, -1)}, "labels from -1 to -1, the classes are 0"),
        ({"train_offsets": np.array(3)}, r"train_offsets has shape \(\)"),
        ({"train_offsets": np.arange(20, -1, -1)}, "begins before the one ahead"),
        ({"train_offsets": np.arange(21) + 10**12}, "damaged"),
    ],
)
def test_arrays_of_another_form(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    write_jpegs(tmp_path, **change)

    with pytest.raises(DataError, match=message):
        read_cifar10(tmp_path)


def test_another_kind_of_image(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, "PNG")
    png = np.frombuffer(stream.getvalue(), np.uint8)
    starts = np.arange(21) * png.size
    write_jpegs(tmp_path, test_jpeg=np.tile(png, 20), test_offsets=starts)

    with pytest.raises(DataError, match=r"cifar10_jpeg\.npz: damaged"):
        read_cifar10(tmp_path)


def test_a_batch_of_a_terabyte(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    with (tmp_path / TEST_FILES[0]).open("wb") as file:
        file.truncate(cifar10._ROW << 28)  # takes no room on the disk

    with pytest.raises(DataError, match="not 1 to 10000 whole images of 3073"):
        read_cifar10(tmp_path)


# sweeps


def test_ways_beyond_number(tmp_path: Path) -> None:
    """Three lists of 4,000 are 64 billion ways."""
    path = tmp_path / "sweep.toml"
    lists = "\n".join(
        f"{name} = [{value * 4000}]"
        for name, value in (("weight_bits", "8,"), ("timesteps", "1,"))
    )
    names = "\n".join(f'{name} = "x.npz"' for name in ("model", "calibration", "data"))
    path.write_text(f"{names}\n[vary]\nbudget = [{'0.1,' * 4000}]\n{lists}")

    with pytest.raises(DataError, match="gives 64000000000 ways; give 1 to 10000"):
        read_sweep(path)


@pytest.mark.parametrize("text", ["a = [" * 500 + "]" * 500, "# " + "x" * (1 << 16)])
def test_a_sweep_too_deep_or_too_long(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(text)

    with pytest.raises(DataError, match="not a TOML file"):
        read_sweep(path)


def test_a_kept_way_that_is_none_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "way.json"
    point = Point(target="loihi1", weight_bits=8, timesteps=4, budget=0.1)
    numbers = dict.fromkeys(MEASURED, 1.0)
    whole = {**vars(point), **numbers, "refusal": "", "neurocores": 1, "n_inputs": 1,
             "stops_early": True}  # fmt: skip

    def kept(**changes: object) -> bool:
        path.write_text(json.dumps({**whole, **changes}))
        return _kept(path, point) is not None

    assert kept()
    assert kept(energy_j=None)
    assert not kept(accuracy="all")
    assert not kept(mean_timesteps=None)
    assert not kept(budget=0.2)
    assert not kept(refusal=["no"])
    assert not kept(script="<script>")
    path.write_text("[" * 100_000)
    assert _kept(path, point) is None


# profiles


NOTED = {"graph_sha256": "ab", "input_name": "in", "input_spikes": 2.0}


def detail(path: Path, n: int = 3, notes: object = NOTED, **columns: pa.Array) -> Path:
    """Write a table of one layer, which a dictionary packs into a few bytes."""
    layer = pa.array(["conv"]).take(pa.array(np.zeros(n, np.int8)))
    table = {"layer": layer, "fire": pa.array(np.ones(n)), **columns}
    noted = pa.table(table).replace_schema_metadata({NOTES: json.dumps(notes)})
    pq.write_table(noted, path / DETAIL, compression="zstd")
    return path


def test_spikes_are_added_up(tmp_path: Path) -> None:
    fired = pa.array([0.5, None, 1.0])

    assert read_traffic(detail(tmp_path, fire=fired)).spikes == {"conv": 1.5, "in": 2.0}


def test_a_table_of_millions_of_rows_in_a_few_bytes(tmp_path: Path) -> None:
    detail(tmp_path, n=10**7 + 1)

    assert (tmp_path / DETAIL).stat().st_size < 1 << 20
    with pytest.raises(DataError, match="10000001 rows of"):
        read_traffic(tmp_path)


@pytest.mark.parametrize(
    "columns", [{"layer": pa.array([1, 2, 3])}, {"fire": pa.array(["a", "b", "c"])}]
)
def test_a_table_of_other_columns(tmp_path: Path, columns: dict[str, pa.Array]) -> None:
    with pytest.raises(DataError, match="no table of a profile"):
        read_traffic(detail(tmp_path, **columns))
    pq.write_table(pa.table({"x": [1]}), tmp_path / DETAIL)
    with pytest.raises(DataError, match="has no layer of string"):
        read_traffic(tmp_path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"graph_sha256": None}, "does not say of which network it is"),
        ({"input_name": ["in"]}, "does not say of which network it is"),
        ({"input_spikes": "2"}, "'2' spikes of the input"),
        ({"input_spikes": -1.0}, "-1.0 spikes of the input"),
        ({"input_spikes": float("inf")}, "inf spikes of the input"),
    ],
)
def test_a_table_with_other_notes(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    with pytest.raises(DataError, match=why):
        read_traffic(detail(tmp_path, notes={**NOTED, **change}))
    others: list[object] = [[], {}, None, "x"]
    for notes in others:
        with pytest.raises(DataError, match="no table of a profile"):
            read_traffic(detail(tmp_path, notes=notes))


@pytest.mark.parametrize("change", [{"cutoff": 3}, {"cutoff": {}}, {"target": [1]}])
def test_a_summary_of_another_form(tmp_path: Path, change: dict[str, object]) -> None:
    write_rows(rows(), tmp_path / "inputs.parquet")
    names = dict.fromkeys(("network", "target", "backend", "monitor"), "x")
    summary: dict[str, object] = {"n_inputs": 9, "cutoff": None, **names}
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(summary))
    assert len(read_profile(tmp_path).rows) == 9

    path.write_text(json.dumps({**summary, **change}))

    with pytest.raises(DataError, match="profile again"):
        read_profile(tmp_path)


# arrays through a pipe


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((1 << 62, 1, 2, 3), "u1"), ((-9, 1, 2, 3), "u1"), ((1 << 61, 1, 2, 3), "<f8"),
     ((2, 1, 2, 3), "V0"), ((2, 1, 2, 3), "|S9"), ((2, 1, 2, 3), "<M8[s]")],
)  # fmt: skip
def test_an_array_of_no_possible_size_or_kind(
    shape: tuple[int, ...], kind: str
) -> None:
    content = io.BytesIO()
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    raw = io.BytesIO(content.getvalue() + bytes(1 << 20))

    with pytest.raises(DataError, match="standard input: "):
        list(from_pipe(io.BufferedReader(raw), graph()))


# checkpoints


def test_a_pickle_in_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"recipe": Bomb(tmp_path / "trace")}, path)

    with pytest.raises(ArtifactError, match="not a checkpoint"):
        read_checkpoint(path, recipe="", network={})

    assert not (tmp_path / "trace").exists()


def test_a_checkpoint_that_fills_the_memory(tmp_path: Path) -> None:
    """What ``torch.load(weights_only=True)`` allows: bytes of any number."""
    path = tmp_path / "checkpoint.pt"
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (entry for entry in entries if entry.endswith("data.pkl"))
    entries[name] = pickle.dumps({"recipe": FillsMemory()}, protocol=2)
    rewritten(path, list(entries.items()))

    with pytest.raises(ArtifactError, match="not a checkpoint"):
        read_checkpoint(path, recipe="", network={})

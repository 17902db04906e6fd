"""Every reader of files from strangers, and a valid file for each to start from."""

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import nir
import norse.torch as norse
import onnx
import torch

import snn_deploy
from snn_deploy.artifact import _manifest_sha256, pack, read_artifact, write_artifact
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.data import read_data
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.torch import file as model_file
from snn_deploy.importers.torch.file import read_model
from snn_deploy.importers.torch.pt2 import read_pt2
from snn_deploy.ir.graph import Training
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.profile.diff import NAMES, compare, read_profile
from snn_deploy.profile.measured import Kind, Measured, Run
from snn_deploy.profile.rows import COLUMNS, Row, Rows
from snn_deploy.profile.store import JOURNAL, Folder
from snn_deploy.profile.sweep_file import read_sweep
from snn_deploy.profile.tables import read_rows, write_rows
from snn_deploy.training.recipe_file import read_recipe
from tests.hostile.mutations import spoilt, spoilt_entry
from tests.hostile.networks import SHAPE, write_all
from tests.hostile.test_fuzz_formats import original
from tests.hostile.test_fuzz_formats import read as read_network
from tests.importers.test_lava_dl import dense
from tests.importers.test_lava_dl import write as write_lava_dl
from tests.importers.test_lava_dl_layers import conv, pool
from tests.importers.test_nir import recurrent
from tests.importers.test_onnx import export, networks, normed
from tests.profile.test_sweep import TEXT as SWEEP
from tests.report.profiles import network

PLACES = range(9)
RUN = Run(kind=Kind.CUTOFF, inputs=PLACES, n_timesteps=4)
Mutation = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Reader:
    """What reads a file of this name, and how such a file may be spoilt."""

    name: str
    read: Callable[[Path], object]
    mutations: tuple[Mutation, ...] = (spoilt,)

    @property
    def content(self) -> bytes:
        """A valid file."""
        return self.contents[0]

    @property
    def contents(self) -> list[bytes]:
        """Valid files: the one of this name, and others of its kind."""
        first = originals() / self.name
        others = sorted((originals() / "others").glob(f"*{first.suffix}"))
        if first.name in (JOURNAL, "part.parquet") or first.suffix == ".toml":
            others = []
        return [path.read_bytes() for path in (first, *others)]


def _data(path: Path) -> object:
    training = Training(timesteps=4, encoding=Encoding.DIRECT)
    return read_data(path, SHAPE, training, n_outputs=3)


def _journal(path: Path) -> object:
    """Read the journal of an unfinished profile."""
    return Folder(path.parent).read(RUN, PLACES)


def _part(path: Path) -> object:
    """Read a part that its journal names, with its hash."""
    (line,) = map(json.loads, (originals() / JOURNAL).read_text().splitlines())
    line["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / JOURNAL).write_text(json.dumps(line) + "\n")
    (path.parent / line["file"]).write_bytes(path.read_bytes())
    return Folder(path.parent).read(RUN, PLACES)


def _summary(path: Path) -> object:
    """Read the summary of a profile, and compare the profile with itself."""
    rows = originals() / "rows.parquet"
    (path.parent / "inputs.parquet").write_bytes(rows.read_bytes())
    profile = read_profile(path.parent)
    return compare(profile, profile)


def _spoilt_artifact(content: bytes, rng: random.Random) -> bytes:
    """Return an artifact with another manifest, or tensors, and right checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(entries))
    entries[name] = spoilt(entries[name], rng)
    try:
        manifest = json.loads(entries["manifest.json"])
        packed = entries["tensors.safetensors"]
        manifest["tensors_sha256"] = hashlib.sha256(packed).hexdigest()
        manifest.pop("manifest_sha256", None)
        manifest["manifest_sha256"] = _manifest_sha256(manifest)
        entries["manifest.json"] = json.dumps(manifest).encode()
    except (AttributeError, RecursionError, TypeError, ValueError):
        pass  # no JSON any more
    spoilt_zip = io.BytesIO()
    with zipfile.ZipFile(spoilt_zip, "w") as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return spoilt_zip.getvalue()


def _spoilt_model(content: bytes, rng: random.Random) -> bytes:
    """Return a model with another description, and its checksum."""
    loaded = torch.load(io.BytesIO(content), weights_only=True)
    text = spoilt(loaded["graph"].encode(), rng).decode(errors="replace")
    loaded["graph"] = text
    loaded["sha256"] = model_file._sha256(text, loaded["tensors"])
    packed = io.BytesIO()
    torch.save(loaded, packed)
    return packed.getvalue()


@cache
def originals() -> Path:
    """Return a folder with a valid file for each reader."""
    folder = Path(mkdtemp(prefix="snn-deploy-fuzz"))
    write_all(folder)
    for ending in ("nir", "net", "onnx"):
        (folder / f"net.{ending}").write_bytes(original(ending))
    with torch.random.fork_rng(devices=[]):
        layers = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(),
                                     torch.nn.Linear(4, 3))  # fmt: skip
        program = torch.export.export(layers.eval(), (torch.zeros(2, 6),))
    torch.export.save(program, folder / "model.pt2")
    for kind, source in (
        ("target", packaged_folder("targets") / "loihi1.toml"),
        ("recipe", packaged_folder("models") / "mnist_lif" / "recipe.toml"),
    ):
        (folder / f"{kind}.toml").write_bytes(source.read_bytes())
    write_rows(rows(), folder / "rows.parquet")
    part = Measured.empty(RUN, len(PLACES), network())
    part.serial.extend(rows().table)
    Folder(folder / "parts").keep(RUN, PLACES, part)
    for path in (folder / "parts").iterdir():
        name = path.name if path.name == JOURNAL else "part.parquet"
        path.rename(folder / name)
    write_others(folder)
    return folder


def write_others(folder: Path) -> None:
    """Write further networks into ``others``, and files about profiles."""
    others = folder / "others"
    others.mkdir()
    nir.write(others / "loop.nir", recurrent(nested=True))
    layers = [conv(1, 2), pool(), dense(18, 3)]
    entrance = {"type": "input", "shape": [1, 6, 6]}
    write_lava_dl(others / "convolution.net", [entrance, *layers])
    for name in ("convolutions", "residual"):
        module, shape = networks()[name]
        path = export(others / f"{name}.onnx", normed(module), shape)
        onnx.save(onnx.load(path), path)  # the weights too
    with torch.random.fork_rng(devices=[]):
        lif = norse.SequentialState(torch.nn.Flatten(), torch.nn.Linear(16, 3),
                                    norse.LIFBoxCell())  # fmt: skip
    graph = snn_deploy.save(lif, others / "lif.pt", input_shape=SHAPE, timesteps=4)
    network = compile_model(graph, read_target("loihi-sim"))
    write_artifact(pack(network), others / "lif.snn")
    (folder / "sweep.toml").write_text(SWEEP)
    summary = {"n_inputs": len(rows()), "cutoff": {"rule": "risk", "beta": [1.0]}}
    names = dict.fromkeys(NAMES, "name")
    (folder / "summary.json").write_text(json.dumps({**summary, **names}))


def rows() -> Rows:
    """Return nine rows."""
    return Rows.of([Row(**{**dict.fromkeys(COLUMNS, 1), "index": i}) for i in range(9)])


READERS = {
    reader.name: reader
    for reader in (
        Reader("model.pt", read_model, (spoilt, spoilt_entry, _spoilt_model)),
        Reader("model.pt2", read_pt2,
               (spoilt, spoilt_entry)),
        Reader("model.snn", read_artifact, (spoilt, _spoilt_artifact)),
        Reader("net.nir", read_network),
        Reader("net.onnx", read_network),
        Reader("net.net", read_network),
        Reader("data.npz", _data, (spoilt, spoilt_entry)),
        Reader("packed.npz", _data, (spoilt, spoilt_entry)),
        Reader("target.toml", lambda path: read_target(str(path))),
        Reader("recipe.toml", read_recipe),
        Reader("sweep.toml", read_sweep),
        Reader("summary.json", _summary),
        Reader("rows.parquet", read_rows),
        Reader(JOURNAL, _journal),
        Reader("part.parquet", _part),
    )
}  # fmt: skip

"""``.snn`` files: a compiled network as JSON and tensors in a zip; no code, no pickle.

Two compilations of one input give identical bytes: entries are stored, not compressed,
in a fixed order with fixed dates, JSON keys are sorted, and nothing else goes in.
"""

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.errors import ArtifactError, CalibrationError, SnnDeployError
from snn_deploy.files.archives import check_archive
from snn_deploy.files.writing import write_whole
from snn_deploy.ir.codec import CodecError, decode, encode
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import UPDATE_ORDER
from snn_deploy.names import shown
from snn_deploy.version import __version__

FORMAT = "snn-deploy network"
VERSION = 11
MANIFEST, TENSORS = "manifest.json", "tensors.safetensors"
LARGEST_ENTRY = 1 << 31  # bytes
# what a network raises that a program other than this one has written
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    CodecError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """A compiled network, and the thresholds of its cutoff once it is calibrated."""

    network: MappedNetwork
    sha256: str  # of the network, without the calibration
    calibration: Calibration | None

    def __repr__(self) -> str:
        graph, is_done = self.network.graph, self.calibration is not None
        return (
            f"{graph.name} for {self.network.target.name}, sha256 {self.sha256[:12]}, "
            f"{'calibrated' if is_done else 'not calibrated'}"
        )

    def __post_init__(self) -> None:
        mine = self.calibration
        if mine is not None and mine.network_sha256 != self.sha256:
            raise CalibrationError(
                f"{self.network.graph.name}: the thresholds were calibrated on another "
                "network; run snn-deploy calibrate again"
            )
        n_timesteps = self.network.graph.training.timesteps
        if mine is not None and mine.timesteps != n_timesteps:
            raise CalibrationError(
                f"{self.network.graph.name}: the thresholds are for {mine.timesteps} "
                f"timesteps, an input lasts {n_timesteps}; run snn-deploy calibrate "
                "again"
            )
        n_classes = self.network.graph.head.n_outputs
        if mine is not None and len(mine.steps) not in (0, n_classes):
            raise CalibrationError(
                f"{self.network.graph.name}: the thresholds are for {len(mine.steps)} "
                f"outputs, the network has {n_classes}; run snn-deploy calibrate again"
            )


def pack(network: MappedNetwork, calibration: Calibration | None = None) -> Artifact:
    """Return ``network`` with its hash."""
    return Artifact(network=network, sha256=sha256_of(network), calibration=calibration)


def answering(artifact: Artifact, head: str | None) -> Artifact:
    """Return the same network, one of whose heads answers: by name; ``None``: as it is.

    The thresholds of another head are left out.

    Raises
    ------
    ArtifactError
        If it has no head of that name.
    """
    network = artifact.network
    graph = network.graph
    if head is None or graph.head.name == head:
        return artifact
    names = [one.name for one in graph.heads]
    if head not in names:
        raise ArtifactError(
            f"{graph.name}: no head is called {shown(head)}; choose from "
            f"{', '.join(filter(None, names)) or 'none: it has a single one'}"
        )
    training = replace(graph.training, answers=head)
    return pack(replace(network, graph=replace(graph, training=training)))


def priced(artifact: Artifact, price_set: str) -> Artifact:
    """Return the same network, whose events cost what other sources say.

    Raises
    ------
    TargetError
        If its target has no prices of that name.
    """
    network = artifact.network
    target = network.target.with_prices(price_set)
    return replace(artifact, network=replace(network, target=target))


def write_artifact(artifact: Artifact, path: str | os.PathLike[str]) -> None:
    """Write ``artifact`` to ``path``, whole or not at all."""
    from safetensors.numpy import save

    tensors: dict[str, AnyArray] = {}
    network = encode(artifact.network, tensors, "network")
    calibration = encode(artifact.calibration, tensors, "calibration")
    packed = save({name: _packed(array) for name, array in sorted(tensors.items())})
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "program": __version__,
        "update_order": list(UPDATE_ORDER),
        "network": network,
        "network_sha256": artifact.sha256,
        "calibration": calibration,
        "tensors_sha256": hashlib.sha256(packed).hexdigest(),
    }
    manifest["manifest_sha256"] = _manifest_sha256(manifest)
    text = json.dumps(manifest, sort_keys=True, indent=1).encode()
    write_whole(Path(path), lambda temporary: _write_zip(temporary, text, packed))


def _write_zip(path: Path, manifest: bytes, tensors: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in ((MANIFEST, manifest), (TENSORS, tensors)):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, content)


def read_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Return the compiled network in the file at ``path``.

    Raises
    ------
    ArtifactError
        If the file is missing, cut short, edited, or of another version.
    CalibrationError
        If its thresholds belong to another network.
    """
    path = Path(path)
    manifest, packed = _read_zip(path)
    try:
        _check_manifest(path, manifest, packed)
        tensors = _tensors(packed)
        network = decode(MappedNetwork, manifest["network"], tensors)
        network.check_stored()
        sha256 = sha256_of(network)
        if sha256 != manifest["network_sha256"]:
            raise _damaged(path, "the network has another checksum")
        calibration = None
        if manifest["calibration"] is not None:
            calibration = _calibration(manifest["calibration"], tensors)
        return Artifact(network=network, sha256=sha256, calibration=calibration)
    except ArtifactError:
        raise
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    except SnnDeployError as error:
        raise _damaged(path, str(error)) from error
    except _DAMAGED as error:
        raise _damaged(path, str(error)) from error


def _calibration(kept: Any, tensors: dict[str, AnyArray]) -> Calibration:
    try:
        return decode(Calibration, kept, tensors)
    except CalibrationError as error:
        raise CalibrationError(f"{error}; run snn-deploy calibrate again") from error


def _check_manifest(path: Path, manifest: dict[str, Any], packed: bytes) -> None:
    if manifest["format"] != FORMAT or manifest["version"] != VERSION:
        raise ArtifactError(
            f"{path}: format {manifest['format']!r} version {manifest['version']}, "
            f"this program reads {FORMAT!r} version {VERSION}; compile the model "
            "again, and calibrate"
        )
    if manifest.pop("manifest_sha256") != _manifest_sha256(manifest):
        raise _damaged(path, "the manifest has another checksum")
    if manifest["update_order"] != list(UPDATE_ORDER):
        raise ArtifactError(
            f"{path}: its neurons do {', '.join(manifest['update_order'])}; this "
            "program computes in another order; compile again"
        )
    if manifest["tensors_sha256"] != hashlib.sha256(packed).hexdigest():
        raise _damaged(path, "the tensors have another checksum")


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(f"{path}: damaged or edited ({why}); compile the model again")


def _read_zip(path: Path) -> tuple[dict[str, Any], bytes]:
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file; check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(path, archive.infolist())
            check_archive(archive, may_pack=False)
            manifest = json.loads(archive.read(MANIFEST))
            packed = archive.read(TENSORS)
    except zipfile.BadZipFile as error:
        raise ArtifactError(
            f"{path}: not a compiled network, or cut short ({error}); compile the "
            "model again"
        ) from error
    except (EOFError, OSError, ValueError, RuntimeError, RecursionError) as error:
        why = str(error) or "an entry is cut short"
        raise _damaged(path, why) from error
    if not isinstance(manifest, dict):
        raise _damaged(path, "the manifest is not a table")
    return manifest, packed


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if any(name.endswith("/data.pkl") for name in names):
        raise ArtifactError(
            f"{path}: a trained model, not a compiled network; compile it first"
        )
    if sorted(names) != [MANIFEST, TENSORS]:
        raise _damaged(path, f"it holds {', '.join(names[:5])}")
    for entry in entries:
        is_stored = entry.compress_type == zipfile.ZIP_STORED
        if not is_stored or entry.file_size > LARGEST_ENTRY:
            raise _damaged(path, f"{entry.filename} is compressed or too large")


def _tensors(packed: bytes) -> dict[str, AnyArray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: dict[str, AnyArray] = load(packed)
    except SafetensorError as error:
        raise ValueError(f"tensors: {error}") from error
    return found


def _packed(array: AnyArray) -> AnyArray:
    """Return integers in the smallest type that holds them."""
    if array.dtype.kind != "i":
        return array
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype)
    return array


def _manifest_sha256(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def sha256_of(value: object) -> str:
    """Return the hash of a network, or of anything that is stored with one."""
    tensors: dict[str, AnyArray] = {}
    text = json.dumps(encode(value, tensors, "network"), sort_keys=True)
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"{name}{tensors[name].shape}{tensors[name].dtype}".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()

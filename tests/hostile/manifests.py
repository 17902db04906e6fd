"""Compiled networks with another manifest or other tensors, and right checksums."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from snn_deploy.arrays import AnyArray
from snn_deploy.artifact import MANIFEST, TENSORS, _manifest_sha256, sha256_of
from snn_deploy.errors import SnnDeployError
from snn_deploy.ir.codec import CodecError, decode
from snn_deploy.ir.mapped import MappedNetwork
from tests.hostile.mutations import zipped

Tensors = dict[str, AnyArray]
Edit = Callable[[Any, Tensors], object]  # of the manifest and the tensors


def edited(content: bytes, edit: Edit) -> bytes:
    """Return a ``.snn`` file that differs by one edit, with all checksums right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        manifest = json.loads(archive.read(MANIFEST))
        tensors = {n: a.copy() for n, a in load(archive.read(TENSORS)).items()}
    edit(manifest, tensors)
    try:
        network = decode(MappedNetwork, manifest["network"], tensors)
        manifest["network_sha256"] = sha256_of(network)
        if manifest["calibration"] is not None:
            manifest["calibration"]["network_sha256"] = manifest["network_sha256"]
    except (ArithmeticError, CodecError, LookupError, SnnDeployError, ValueError):
        pass  # refused before the checksum is looked at
    packed = save({n: np.array(a, order="C") for n, a in tensors.items()})
    manifest["tensors_sha256"] = hashlib.sha256(packed).hexdigest()
    manifest.pop("manifest_sha256", None)
    manifest["manifest_sha256"] = _manifest_sha256(manifest)
    text = json.dumps(manifest, sort_keys=True).encode()
    return zipped({MANIFEST: text, TENSORS: packed})


def write_edited(path: Path, content: bytes, edit: Edit) -> Path:
    """Write ``edited`` to ``path``."""
    path.write_bytes(edited(content, edit))
    return path

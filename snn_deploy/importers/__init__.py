"""Readers of trained networks, each ``read_<format>(path) -> Graph``."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from snn_deploy.errors import ModelError

if TYPE_CHECKING:
    from snn_deploy.ir.graph import Graph


def load_model(path: str | PathLike[str]) -> "Graph":
    """Return the trained network in the file at ``path``, read by its ending.

    Raises
    ------
    ModelError
        If the format is unknown, or the file cannot be read.
    """
    path = Path(path)
    match path.suffix:
        case ".pt" | ".pth":
            from snn_deploy.importers.model_file import read_model

            return read_model(path)
        case ".net":
            from snn_deploy.importers.lava_dl import read_lava_dl

            return read_lava_dl(path)
    raise ModelError(
        f"{path}: models end in .pt (written by snn_deploy.save) or .net (by lava-dl)"
    )

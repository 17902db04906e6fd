"""Readers of trained networks, each ``read_<format>(path) -> Graph``."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from snn_deploy.errors import ModelError

if TYPE_CHECKING:
    from snn_deploy.ir.graph import Graph
    from snn_deploy.ir.neurons import Reset


def load_model(
    path: str | PathLike[str],
    *,
    dt: float | None = None,
    reset: "Reset | None" = None,
    timesteps: int | None = None,
) -> "Graph":
    """Return the trained network in the file at ``path``, read by its ending.

    Parameters
    ----------
    path : path
    dt : float, optional
        Length of a timestep [s], for a format that has none (NIR).
    reset : Reset, optional
        What a spike does to the voltage, for a format that does not say (NIR).
    timesteps : int, optional
        For how many timesteps an input is shown, in place of what the file says.

    Raises
    ------
    ModelError
        If the format is unknown, or the file cannot be read.
    """
    graph = _read(Path(path), dt, reset)
    if timesteps is None:
        return graph
    return replace(graph, training=replace(graph.training, timesteps=timesteps))


def _read(path: Path, dt: float | None, reset: "Reset | None") -> "Graph":
    match path.suffix:
        case ".pt" | ".pth":
            from snn_deploy.importers.model_file import read_model

            return read_model(path)
        case ".net":
            from snn_deploy.importers.lava_dl import read_lava_dl

            return read_lava_dl(path)
        case ".nir":
            from snn_deploy.importers.nir import read_nir

            return read_nir(path, dt=dt, reset=reset)
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    raise ModelError(
        f"{path}: models end in .pt (written by snn_deploy.save), .nir, or .net (by "
        "lava-dl); save the model in one of these forms"
    )

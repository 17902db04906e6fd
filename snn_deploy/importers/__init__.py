"""Readers of trained networks, each ``read_<format>(path) -> Graph``."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from snn_deploy.errors import ModelError

if TYPE_CHECKING:
    from snn_deploy.arrays import AnyArray
    from snn_deploy.ir.graph import Graph
    from snn_deploy.ir.neurons import Reset


def load_model(
    path: str | PathLike[str],
    *,
    dt: float | None = None,
    reset: "Reset | None" = None,
    timesteps: int | None = None,
    balance_on: "AnyArray | None" = None,
    percentile: float | None = None,
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
    balance_on : array, (n, input_shape...), optional
        Bytes, or floats from 0 to 1: training data of a conventional network (ONNX), on
        which the largest values of its ReLUs are measured. They become thresholds.
    percentile : float, optional
        Of the positive values that lie below the largest; default 99.9.

    Raises
    ------
    ModelError
        If the format is unknown, or the file cannot be read.
    """
    graph = _balanced(_read(Path(path), dt, reset), balance_on, percentile)
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
        case ".onnx":
            from snn_deploy.importers.onnx import read_onnx

            return read_onnx(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    raise ModelError(
        f"{path}: models end in .pt (written by snn_deploy.save), .nir, .onnx, or .net "
        "(by lava-dl); save the model in one of these forms"
    )


def _balanced(
    graph: "Graph", x: "AnyArray | None", percentile: float | None
) -> "Graph":
    """Return the graph with thresholds for its ReLUs."""
    from snn_deploy.importers.balance import PERCENTILE, balance, needs_balance

    relus = needs_balance(graph)
    if not relus and x is None:
        return graph
    if not relus:
        raise ModelError(
            f"{graph.name}: has no ReLU without an upper end, so there is nothing to "
            "balance; leave the inputs out"
        )
    if x is None:
        raise ModelError(
            f"{relus[0].name}: a ReLU has no largest value that could be a threshold; "
            "give training inputs to measure it on, --balance-on x.npz"
        )
    return balance(graph, x, PERCENTILE if percentile is None else percentile)

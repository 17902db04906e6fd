"""The readers by the ending of a file."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from snn_deploy.errors import ModelError

if TYPE_CHECKING:
    from snn_deploy.arrays import AnyArray, Shape
    from snn_deploy.ir.graph import Graph
    from snn_deploy.ir.neurons import Reset

DEFAULT_ENCODING = "direct"
NO_MODELS = {
    ".npz": "holds inputs, no model; give the model, and this file as --data",
    ".snn": "is compiled already; give the model that it was compiled from",
}


def load_model(
    path: str | PathLike[str],
    *,
    dt: float | None = None,
    reset: "Reset | None" = None,
    timesteps: int | None = None,
    balance_on: "AnyArray | None" = None,
    percentile: float | None = None,
    builder: str | None = None,
    trust_pickle: bool = False,
    input_shape: "Shape | None" = None,
    encoding: str | None = None,
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
        For how many timesteps an input is shown, in place of what the file says; needed
        where it (lava-dl's own) does not.
    balance_on : array, (n, input_shape...), optional
        Bytes, or floats from 0 to 1: training data of a conventional network (ONNX), on
        which the largest values of its ReLUs are measured. They become thresholds.
    percentile : float, optional
        Of the positive values that lie below the largest; default 99.9.
    builder : str, optional
        ``package.module:function`` that returns the module which the tensors of a bare
        ``state_dict`` belong to. It is imported and called.
    trust_pickle : bool
        Unpickle a module from a ``.pt`` file, or what lies beside the tensors for a
        ``builder``; it can run any code.
    input_shape : tuple of int, optional
        Of such a module, without batch and time; ``timesteps`` is needed as well.
    encoding : {"direct", "rate", "events"}, optional
        Of such a module's input or a ``.pt2`` file's, default ``"direct"``; of a
        ``.nir`` file's that does not say, default ``"events"``.

    Raises
    ------
    ModelError
        If the format is unknown, or the file cannot be read.
    """
    path = Path(path)
    if builder is not None or trust_pickle:
        graph = _from_module(
            path, builder, trust_pickle, input_shape, timesteps, encoding
        )
    else:
        graph = _read(path, dt, reset, encoding, timesteps)
    return _shown_for(_balanced(graph, balance_on, percentile), timesteps)


def load_shapes(
    path: str | PathLike[str] | None,
    *,
    dt: float | None = None,
    reset: "Reset | None" = None,
    timesteps: int | None = None,
    builder: str | None = None,
    trust_pickle: bool = False,
    input_shape: "Shape | None" = None,
    encoding: str | None = None,
) -> "Graph":
    """Return a network of which only the layers and their shapes need to be right.

    Parameters are those of ``load_model``. Without a file it is what the ``builder``
    returns, as it stands. Thresholds of ReLUs, and timesteps, that nobody knows are 1.

    Raises
    ------
    ModelError
        If there is neither a file nor a builder, or one of them cannot be read.
    """
    from snn_deploy.importers.balance import needs_balance

    if path is not None and builder is None and not trust_pickle:
        graph = _shown_for(
            _read(Path(path), dt, reset, encoding, timesteps or 1), timesteps
        )
    else:
        graph = _from_module(
            None if path is None else Path(path),
            builder,
            trust_pickle,
            input_shape,
            timesteps or 1,
            encoding,
        )
    for relu in needs_balance(graph):
        graph = graph.replace(relu, by=replace(relu, maximum=1.0))
    return graph


def _shown_for(graph: "Graph", timesteps: int | None) -> "Graph":
    if timesteps is None:
        return graph
    return replace(graph, training=replace(graph.training, timesteps=timesteps))


def _from_module(
    path: Path | None,
    builder: str | None,
    trust_pickle: bool,
    input_shape: "Shape | None",
    timesteps: int | None,
    encoding: str | None,
) -> "Graph":
    from snn_deploy.importers.torch.checkpoint import (
        read_builder,
        read_checkpoint,
        read_pickle,
    )

    if path is None and builder is None:
        raise ModelError(
            "no model: neither a file nor a function that builds one is given; give "
            "its path, or --builder package.module:function"
        )
    if input_shape is None or timesteps is None:
        needed = {"--input-shape 1,28,28": input_shape, "--timesteps": timesteps}
        missing = [option for option, value in needed.items() if value is None]
        raise ModelError(
            f"{path or builder}: tensors and modules do not say what one input is; "
            f"give {' and '.join(missing)}"
        )
    kind = encoding or DEFAULT_ENCODING
    if path is None:
        assert builder is not None
        return read_builder(builder, input_shape, timesteps, kind)
    if builder is None:
        return read_pickle(path, input_shape, timesteps, kind)
    return read_checkpoint(
        path, builder, input_shape, timesteps, kind, trusts=trust_pickle
    )


def _read(
    path: Path,
    dt: float | None,
    reset: "Reset | None",
    encoding: str | None,
    timesteps: int | None,
) -> "Graph":
    match path.suffix:
        case ".pt" | ".pth":
            from snn_deploy.importers.torch.file import read_model

            return read_model(path)
        case ".net":
            from snn_deploy.importers.lava_dl.reader import read_lava_dl

            return read_lava_dl(path, timesteps=timesteps)
        case ".nir":
            from snn_deploy.importers.nir.reader import read_nir
            from snn_deploy.ir.stimuli import Encoding

            kind = None if encoding is None else Encoding(encoding)
            return read_nir(path, dt=dt, reset=reset, encoding=kind)
        case ".pt2":
            from snn_deploy.importers.torch.pt2 import read_pt2

            return read_pt2(path, encoding or DEFAULT_ENCODING)
        case ".onnx":
            from snn_deploy.importers.onnx.reader import read_onnx

            return read_onnx(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    if path.suffix in NO_MODELS:
        raise ModelError(f"{path}: {NO_MODELS[path.suffix]}")
    raise ModelError(
        f"{path}: models end in .pt (written by snn_deploy.save), .pt2, .nir, .onnx, "
        "or .net (by lava-dl); save the model in one of these forms"
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

"""Write a network in another format, by the endings of the files."""

from pathlib import Path
from typing import TYPE_CHECKING

from snn_deploy.errors import ModelError
from snn_deploy.extras import require

if TYPE_CHECKING:
    from snn_deploy.chip.target import Target
    from snn_deploy.ir.graph import Graph
    from snn_deploy.ir.quantized import QuantizedGraph

ENDINGS = (".pt", ".nir", ".onnx", ".net")
NEEDS = {".pt": ("torch",), ".onnx": ("onnx",)}
NETX = "loihi2-netx"  # the target that holds what a .net file can say


def check_ending(path: Path) -> None:
    """Do nothing if networks can be written with this ending.

    Raises
    ------
    ModelError
        If no network is.
    MissingPackageError
        If what writes them is not installed.
    """
    if path.suffix not in ENDINGS:
        raise ModelError(
            f"{path}: networks are written to {', '.join(ENDINGS)}; choose one of "
            "these endings"
        )
    require(*NEEDS.get(path.suffix, ()), purpose=str(path))


def check_reader(path: Path, reader: str | None) -> None:
    """Raise a ``ModelError`` for a reader of NIR unless that is what is written."""
    if reader is not None and path.suffix != ".nir":
        raise ModelError(
            f"{path}: only NIR files are written for {reader}; choose the ending .nir"
        )


def write_graph(
    graph: "Graph",
    path: Path,
    target: "Target | None" = None,
    reader: str | None = None,
) -> tuple[str, ...]:
    """Write a float graph to ``path``.

    ``.pt`` holds it as it is, ``.nir`` with spiking neurons in place of activations and
    without batch normalizations, ``.onnx`` one timestep of the integers of ``target``;
    ``.net`` the integers of ``loihi2-netx``, or of a ``target`` within its limits.
    Returned is, of ``.nir``, a line for each tool that says how it reads the file; for
    one of them (``reader``) it is written as that one means it, or refused.

    Raises
    ------
    ModelError
        If the format cannot say what a layer computes, or ``.onnx`` has no target.
    FitError
        If neurons ask for more than the target, or lava-dl's netx, has.
    """
    check_ending(path)
    check_reader(path, reader)
    match path.suffix:
        case ".pt":
            from snn_deploy.importers.torch.file import write_model

            write_model(graph, path)
        case ".nir":
            from snn_deploy.compiler.pipeline import to_neurons
            from snn_deploy.exporters.nir import write_nir

            return write_nir(to_neurons(graph), path, reader)
        case ".onnx" | ".net":
            from snn_deploy.chip.target_file import read_target
            from snn_deploy.compiler.pipeline import compile_model

            if target is None and path.suffix == ".net":
                target = read_target(NETX)
            if target is None:
                raise ModelError(
                    f"{path}: holds the integers of a chip; name one with --target"
                )
            write_integers(compile_model(graph, target).graph, path)
    return ()


def write_integers(
    network: "QuantizedGraph", path: Path, reader: str | None = None
) -> tuple[str, ...]:
    """Write a compiled network to ``path``, every integer of it.

    ``.onnx`` holds one timestep, ``.nir`` and ``.pt`` a float graph whose floats are
    the integers; compiled again, it is the same network, and so is a ``.net``.
    ``reader`` and what is returned are those of ``write_graph``.

    Raises
    ------
    ModelError
        If the format cannot say what a layer computes.
    FitError
        If ``.net``, as lava-dl's netx reads it, has none of the neurons.
    """
    check_ending(path)
    check_reader(path, reader)
    if path.suffix == ".onnx":
        from snn_deploy.exporters.onnx import write_onnx

        write_onnx(network, path)
        return ()
    if path.suffix == ".net":
        from snn_deploy.chip.target_file import read_target
        from snn_deploy.compiler.retarget import check_abilities
        from snn_deploy.exporters.lava_dl import write_lava_dl

        check_abilities(network, read_target(NETX))
        write_lava_dl(network, path)
        return ()
    from snn_deploy.exporters.on_grid import as_graph

    return write_graph(as_graph(network), path, reader=reader)

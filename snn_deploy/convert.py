"""Write a network in another format, by the endings of the files."""

from pathlib import Path
from typing import TYPE_CHECKING

from snn_deploy.errors import ModelError
from snn_deploy.extras import require

if TYPE_CHECKING:
    from snn_deploy.chip.target import Target
    from snn_deploy.ir.graph import Graph
    from snn_deploy.ir.quantized import QuantizedGraph

ENDINGS = (".pt", ".nir", ".onnx")
NEEDS = {".pt": ("torch",), ".onnx": ("onnx",)}


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


def write_graph(graph: "Graph", path: Path, target: "Target | None" = None) -> None:
    """Write a float graph to ``path``.

    ``.pt`` holds it as it is, ``.nir`` with spiking neurons in place of activations and
    without batch normalizations, ``.onnx`` one timestep of the integers of ``target``.

    Raises
    ------
    ModelError
        If the format cannot say what a layer computes, or ``.onnx`` has no target.
    """
    check_ending(path)
    match path.suffix:
        case ".pt":
            from snn_deploy.importers.torch.file import write_model

            write_model(graph, path)
        case ".nir":
            from snn_deploy.compiler.pipeline import to_neurons
            from snn_deploy.exporters.nir import write_nir

            write_nir(to_neurons(graph), path)
        case ".onnx":
            from snn_deploy.compiler.pipeline import compile_model

            if target is None:
                raise ModelError(
                    f"{path}: holds the integers of a chip; name one with --target"
                )
            write_integers(compile_model(graph, target).graph, path)


def write_integers(network: "QuantizedGraph", path: Path) -> None:
    """Write a compiled network to ``path``, every integer of it.

    ``.onnx`` holds one timestep, ``.nir`` and ``.pt`` a float graph whose floats are
    the integers; compiled again, it is the same network.

    Raises
    ------
    ModelError
        If the format cannot say what a layer computes.
    """
    check_ending(path)
    if path.suffix == ".onnx":
        from snn_deploy.exporters.onnx import write_onnx

        write_onnx(network, path)
        return
    from snn_deploy.exporters.on_grid import as_graph

    write_graph(as_graph(network), path)

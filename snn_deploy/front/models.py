"""What may be given as a model, read as the graph that it is."""

import os
import tempfile
from pathlib import Path
from typing import Any

from snn_deploy.errors import ModelError
from snn_deploy.front.options import check_options, options_of
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.graph import Graph

# packages whose graphs are taken as they are
OBJECTS = {"nir": ".nir", "onnx": ".onnx"}


def graph_of(model: Any, options: dict[str, Any], own: dict[str, str]) -> Graph:
    """Return the graph of a module, a graph of NIR or ONNX, or the path of a file.

    ``own`` are the options of who asks, which a refusal lists beside the reader's.
    """
    if isinstance(model, Graph):
        if options:
            raise ModelError(
                f"{model.name}: is a graph, which says everything itself; leave out "
                f"{', '.join(options)}, or give the model that it was read from"
            )
        return model
    if hasattr(model, "state_dict") and hasattr(model, "forward"):
        from snn_deploy.importers.torch.file import read_module

        kind = model if isinstance(model, type) else type(model)
        name, names = kind.__name__, options_of(read_module) | own
        check_options(name, options, names, ModelError)
        if "input_shape" not in options:
            raise ModelError(
                f"{name}: a module does not say what one input is; give input_shape, "
                "without batch and time, such as input_shape=(1, 28, 28)"
            )
        return read_module(model, name, **options)
    names = options_of(load_model) | own
    if isinstance(model, str | os.PathLike):
        check_options(os.fspath(model), options, names, ModelError)
        return load_model(model, **options)
    for package, ending in OBJECTS.items():
        if type(model).__module__.partition(".")[0] == package:
            check_options(package, options, {**names, "name": "str"}, ModelError)
            return _through_a_file(model, package, ending, options)
    raise ModelError(
        f"a {type(model).__name__} is no model; give a torch module, a graph of NIR or "
        "ONNX, or the path of a file"
    )


def _through_a_file(
    model: Any, package: str, ending: str, options: dict[str, Any]
) -> Graph:
    """Return a graph of another package, by the reader of its files."""
    name = options.pop("name", package)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}{ending}"
        if package == "nir":
            import nir

            nir.write(path, model)
        else:
            import onnx

            onnx.save(model, path)
        return load_model(path, **options)

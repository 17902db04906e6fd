"""Run NIR graphs in the frameworks that read them, and in ours."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from snn_deploy.arrays import AnyArray, IntArray, Shape
from snn_deploy.importers.nir.reader import read_nir
from snn_deploy.importers.options import ReadOptions
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.stimuli import Stimulus
from tests.build import rng

DT = 1e-4  # the only one that snnTorch knows


def trains(shape: Shape, n_timesteps: int = 30, share: float = 0.4) -> IntArray:
    spikes: IntArray = (rng(2).random((n_timesteps, *shape)) < share).astype(np.int64)
    return spikes


def written(path: Path, graph: nir.NIRGraph) -> Path:
    nir.write(str(path), graph)
    return path


def row(shape: Shape, *layers: nir.NIRNode) -> nir.NIRGraph:
    """Return layers one after another, with an input of this shape."""
    start = nir.Input({"input": np.array(shape)})
    end = nir.Output({"output": np.array([1])})  # nobody looks at this shape
    return nir.NIRGraph.from_list(start, *layers, end, type_check=False)


def ours(path: Path, x: AnyArray, reset: Reset = Reset.HARD) -> AnyArray:
    """Return what our float graph gives, ``(n_timesteps, n_out)``."""
    graph = read_nir(path, ReadOptions(dt=DT, reset=reset, timesteps=len(x)))
    values = x.reshape(len(x), *graph.input.shape)
    found: AnyArray = evaluate(graph, [Stimulus(values=values, is_constant=False)])[0]
    return found


def in_norse(graph: nir.NIRGraph, x: AnyArray) -> AnyArray:
    """Return what Norse gives, in double precision."""
    import norse.torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = norse.torch.from_nir(graph, dt=DT, ignore_warnings=True).double()
        return _stepped(module, x, torch.float64)


def _stepped(module: Any, x: AnyArray, dtype: torch.dtype) -> AnyArray:
    state, outputs = None, []
    with torch.no_grad():
        for values in x:
            output, state = module(
                torch.as_tensor(values[np.newaxis], dtype=dtype), state
            )
            outputs.append(output[0].double().numpy().reshape(-1))
    return np.array(outputs)


def in_snntorch(graph: nir.NIRGraph, x: AnyArray) -> AnyArray:
    """Return what snnTorch gives; it computes in single precision."""
    snntorch = pytest.importorskip("snntorch.import_nir")
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it scales
        module = snntorch.import_from_nir(graph)
    return _stepped(module, x, torch.float32)


def in_sinabs(graph: nir.NIRGraph, x: AnyArray) -> AnyArray:
    """Return what sinabs gives: all timesteps at once, in single precision."""
    sinabs = pytest.importorskip("sinabs.nir")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = sinabs.from_nir(graph, batch_size=1)
        with torch.no_grad():
            output = module(torch.as_tensor(x, dtype=torch.float32))
    values = output[0] if isinstance(output, tuple) else output
    found: AnyArray = values.double().numpy().reshape(len(x), -1)
    return found


def in_spikingjelly(graph: nir.NIRGraph, x: AnyArray) -> AnyArray:
    """Return what SpikingJelly gives; it computes in single precision."""
    found = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
    return _stepped(found.import_from_nir(graph, dt=DT), x, torch.float32)

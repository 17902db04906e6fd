"""Run NIR graphs in the frameworks that read them, and in ours."""

import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch

from snn_deploy.arrays import AnyArray, IntArray, Shape
from snn_deploy.importers.nir import read_nir
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.neurons import Reset
from snn_deploy.spikes import Stimulus
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
    graph = read_nir(path, dt=DT, reset=reset, timesteps=len(x))
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

"""The column of torch.export archives (.pt2): conventional networks."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from tests.importers.agreement import (
    TIMESTEPS,
    bytes_of,
    exact,
    louder,
    stepped,
    stimuli,
)
from tests.importers.test_several_files import (
    byte_inputs,
    test_an_exported_program_of_two_inputs_is_its_module,
)
from tests.support.frames import Frame, layer_cases


class Exported(Frame):
    """A frame whose networks go through an archive."""

    def check(
        self, module: nn.Module, folder: Path, shape: tuple[int, ...], **options: Any
    ) -> Graph:
        path = folder / "net.pt2"
        with warnings.catch_warnings():  # torch's own
            warnings.simplefilter("ignore")
            example = (torch.rand(2, *shape),)
            torch.export.save(torch.export.export(louder(module).eval(), example), path)
        graph = load_model(path, timesteps=TIMESTEPS, **options)
        values = bytes_of(shape)
        found = evaluate(graph, stimuli(graph, values))
        expected = exact(module, stepped, values / 255)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
        compile_model(graph, read_target("loihi-sim"))
        return graph


FRAME = Exported(nn.ReLU6, stepped)


def conv() -> nn.Module:
    return nn.Conv2d(2, 4, 3)


def relu(folder: Path) -> None:
    """Measure the largest value on inputs of extremes, so that no other reaches it."""
    module = nn.Sequential(conv(), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    examples = (bytes_of((50, 2, 8, 8)) > 127).astype(np.float64).reshape(-1, 2, 8, 8)
    FRAME.check(module, folder, (2, 8, 8), balance_on=examples)


def several(folder: Path) -> None:
    test_an_exported_program_of_two_inputs_is_its_module(0, folder)
    graph = load_model(folder / "two.pt2", balance_on=byte_inputs(0))
    compile_model(graph, read_target("loihi-sim"))


CASES = {**layer_cases(FRAME), "several inputs": several, "ReLU": relu}

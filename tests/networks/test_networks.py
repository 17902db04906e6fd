"""docs/networks.md says what became of every listed network.

Each is saved as its authors wrote it; what is accepted must give what the module itself
gives, run in double precision over at least 20 timesteps.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy
from snn_deploy.arrays import FloatArray
from snn_deploy.errors import SnnDeployError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Functional, Graph
from snn_deploy.ir.stimuli import GRAY_LEVELS, Encoding, Stimulus
from tests.importers.agreement import in_double, louder
from tests.networks import (
    further_networks,
    norse_networks,
    paper_networks,
    sinabs_networks,
    snntorch_networks,
    spikingjelly_networks,
)
from tests.networks.listed import Form, Listed, T

torch.set_num_threads(1)
PATH = Path(__file__).parents[2] / "docs" / "networks.md"
LISTED: list[Listed] = [
    *snntorch_networks.network,
    *spikingjelly_networks.network,
    *norse_networks.network,
    *sinabs_networks.network,
    *paper_networks.network,
    *further_networks.network,
]
N = 4  # inputs
AS_IT_IS = "as it is"
HEAD = """# Networks of the field

Written by `pytest tests/networks --update-golden`. Every network is rebuilt by
structure, with fewer channels, in the form that its authors' code has, and given to
`snn_deploy.save` unchanged. *As it is*: accepted, and what the graph gives over 20
timesteps is what the module gives, in double precision. Otherwise the refusal stands
here as it is printed, without the lines to write that follow it.

| | network | of | |
|---|---|---|---|
"""


def _id(listed: Listed) -> str:
    return f"{listed.source}: {listed.title}".replace(" ", "-")


def _parameter(listed: Listed) -> Any:
    marks = [pytest.mark.slow] if listed.is_slow else []
    return pytest.param(listed, id=_id(listed), marks=marks)


@pytest.mark.parametrize("listed", [*map(_parameter, LISTED)])
def test_the_page_says_what_became_of_a_network(
    listed: Listed, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    found = outcome(listed, tmp_path)

    page = PATH.read_text(encoding="utf-8") if PATH.is_file() else ""
    rows = _parsed(page)
    number = LISTED.index(listed) + 1
    if request.config.getoption("--update-golden"):
        rows[number] = f"| {number} | {listed.title} | {listed.source} | {found} |"
        PATH.write_text(_page(rows), encoding="utf-8")
        return
    assert rows.get(number, "").endswith(f"| {found} |"), (
        f"docs/networks.md says otherwise than {found!r}; if it should not, run pytest "
        "tests/networks --update-golden and read the diff"
    )


def test_the_page_has_all_of_the_list_and_most_go_in() -> None:
    rows = _parsed(PATH.read_text(encoding="utf-8"))

    assert list(rows) == list(range(1, len(LISTED) + 1))
    assert sum(row.endswith(f"| {AS_IT_IS} |") for row in rows.values()) >= 52


def outcome(listed: Listed, folder: Path) -> str:
    """Return what becomes of a network: as it is, or the reason of the refusal.

    What is accepted must compute the same.
    """
    torch.manual_seed(0)
    module = louder(listed.build().eval())
    example_inputs = None
    if any(isinstance(layer, nn.ReLU) for layer in module.modules()):
        example_inputs = np.random.default_rng(1).random((8, *listed.shape))
    try:
        graph = snn_deploy.save(
            module,
            folder / "net.pt",
            input_shape=listed.shape,
            timesteps=T,
            encoding=listed.encoding,
            functional=listed.functional,
            example_inputs=example_inputs,
        )
    except SnnDeployError as error:
        return " ".join(str(error).split("; ")[0].split()).replace("|", "/")
    check(graph, module, listed)
    return AS_IT_IS


def check(graph: Graph, module: nn.Module, listed: Listed) -> None:
    """Assert that the graph gives what the module gives."""
    is_graded = graph.training.encoding is Encoding.DIRECT
    largest = GRAY_LEVELS if is_graded else 1
    is_still = listed.form is Form.STILL
    draw = np.random.default_rng(0)
    shape = (N, 1 if is_still else T, *listed.shape)
    values = np.repeat(
        draw.integers(0, largest, shape, endpoint=True), T // shape[1], axis=1
    )
    expected = _run(module, listed, values / largest)
    like = (T, *graph.input.shape)
    stimuli = [Stimulus(values=v.reshape(like), is_constant=False) for v in values]
    found = evaluate(graph, stimuli, T)
    assert np.abs(found).max() > 0, "the network does nothing"
    if expected.shape != found.shape:
        found = _answer(found, expected, graph)
        if np.allclose(np.exp(expected).sum(axis=1), 1):  # logarithms of a softmax
            found = found - np.log(np.exp(found).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def _answer(found: FloatArray, expected: FloatArray, graph: Graph) -> FloatArray:
    """Return the answer of all timesteps, of which a module may give the mean."""
    match graph.training.functional:
        case Functional.LAST:
            return found[:, -1]
        case Functional.MAX:
            return np.asarray(found.max(axis=1), np.float64)
    total = np.asarray(found.sum(axis=1), np.float64)
    is_mean = np.abs(expected).sum() < np.abs(total).sum() / 2
    return total / T if is_mean else total


def _run(module: nn.Module, listed: Listed, x: FloatArray) -> FloatArray:
    """Return what a copy in double precision gives: (n, T, n_out), or (n, n_out)."""
    ours = in_double(module)
    inputs = torch.as_tensor(x)
    with torch.no_grad():
        match listed.form:
            case Form.STEP:
                steps = [_first(ours(inputs[:, t])) for t in range(T)]
                output = torch.stack(steps, dim=1)
            case Form.STATES:
                output = _with_states(ours, inputs)
            case Form.STILL:
                output = _first(ours(inputs[:, 0]))
                if output.ndim == 3 and len(output) == T:
                    output = output.transpose(0, 1)
            case Form.TIME_FIRST:
                output = _first(ours(inputs.transpose(0, 1).contiguous()))
                if len(output) == T:
                    output = output.transpose(0, 1)
            case Form.TIME_SECOND:
                output = _first(ours(inputs))
    is_whole = output.ndim > 2 and output.shape[:2] == (N, T)
    return np.asarray(output.reshape(N, *([T] if is_whole else []), -1), np.float64)


def _with_states(module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Run one timestep after the other with the states that the last one returned."""
    outputs = []
    states: tuple[object, ...] = (None,)
    for t in range(T):
        try:
            output, *rest = module(inputs[:, t], *states)
        except TypeError:  # states are named one by one
            output, *rest = module(inputs[:, t], None, None)
        states = tuple(rest)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def _first(result: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return result[0] if isinstance(result, tuple) else result


def _parsed(page: str) -> dict[int, str]:
    lines = [line for line in page.splitlines() if line[2:3].isdigit()]
    return {int(line.split("|")[1]): line for line in lines}


def _page(rows: dict[int, str]) -> str:
    count = sum(row.endswith(f"| {AS_IT_IS} |") for row in rows.values())
    lines = [rows[number] for number in sorted(rows)]
    return f"{HEAD}{chr(10).join(lines)}\n\n{count} of {len(rows)} go in as they are.\n"

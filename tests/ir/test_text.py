"""as_text: every stage of a network, a line for each layer, good for diff."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import STAGES, compile_model
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.nodes import AvgPool2d, Flatten
from snn_deploy.ir.text import Stage, as_text
from tests.build import RATE, batch_norm, chain, conv, graph, integrator, lif, linear

GOLDEN = Path(__file__).parent.parent / "golden"


def convolutional() -> Graph:
    return chain(
        conv("conv", (2, 6, 6), 4),
        batch_norm("norm", (4, 6, 6)),
        lif("lif", (4, 6, 6)),
        AvgPool2d(name="pool", shape=(4, 6, 6), kernel=(2, 2), stride=(2, 2)),
        Flatten(name="flatten", shape=(4, 3, 3)),
        linear("fc", 36, 3),
    )


def recurrent() -> Graph:
    return graph(
        [
            linear("fc", 5, 4),
            lif("lif", (4,)),
            linear("back", 4, 4, seed=2),
            linear("out", 4, 3, seed=3),
            integrator("sum", (3,)),
        ],
        "input>fc fc>lif lif>back back>lif:1 lif>out out>sum",
        shape=(5,),
        training=RATE,
    )


def stages(network: Graph) -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    compile_model(network, read_target("loihi-sim"), dump=found.__setitem__)
    return found


@pytest.mark.parametrize("build", [convolutional, recurrent], ids=lambda b: b.__name__)
def test_every_stage_is_what_the_golden_file_says(
    build: Callable[[], Graph], request: pytest.FixtureRequest
) -> None:
    found = stages(build())

    text = "".join(f"== {name}\n{as_text(stage)}" for name, stage in found.items())

    path = GOLDEN / f"{build.__name__}.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert tuple(found) == STAGES
    assert text == path.read_text(encoding="utf-8")


def test_a_changed_weight_changes_its_line_and_no_other() -> None:
    before = chain(linear("fc1", 3, 2), lif("lif", (2,)), linear("fc2", 2, 2))
    layer = before.nodes[1]
    weight = np.array(layer.weight)  # type: ignore[attr-defined]
    weight[0, 0] += 0.001
    after = before.replace(layer, by=replace(layer, weight=weight))  # type: ignore[call-arg]

    pairs = zip(as_text(before).splitlines(), as_text(after).splitlines(), strict=True)

    assert [a.split(":")[0] for a, b in pairs if a != b] == ["fc1"]

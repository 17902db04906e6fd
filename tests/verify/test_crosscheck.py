"""cross_check: whatever Lava counts otherwise is found."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.backends.results import RunResult
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.data.data import Data
from snn_deploy.errors import BackendError
from snn_deploy.verify import crosscheck
from snn_deploy.verify.crosscheck import cross_check
from tests.backends.test_engine import pictures
from tests.build import rng, simulator
from tests.conformance.networks import mapped
from tests.counting import COUNTS

ARRAYS = [name for name in COUNTS if name.endswith(("cores", "chip"))]


@pytest.mark.parametrize("changed", [None, *ARRAYS])
def test_a_count_that_differs_is_an_error(
    monkeypatch: pytest.MonkeyPatch, changed: str | None
) -> None:
    network = mapped(retime(pictures((2, 3)), simulator()))
    training = network.graph.training
    x = rng().integers(0, 256, (2, 2, 9, 7)).astype(np.uint8)
    opened: list[str] = []

    def open_one(name: str) -> Any:  # the cpu takes Lava's place
        opened.append(name)
        return open_backend("cpu")

    def run(*given: Any) -> Iterator[RunResult]:
        for result in run_inputs(*given):
            if changed is None or opened[-1] == "cpu":
                yield result
                continue
            counts = getattr(result.activity, changed) + 1
            yield replace(
                result, activity=replace(result.activity, **{changed: counts})
            )

    monkeypatch.setattr(crosscheck, "is_installed", lambda name: True)
    monkeypatch.setattr(crosscheck, "open_backend", open_one)
    monkeypatch.setattr(crosscheck, "run_inputs", run)
    data = Data(x=x, y=np.arange(2), training=training)

    if changed is None:
        assert "equal outputs and counts" in cross_check(pack(network), data, None, 2)
        return
    with pytest.raises(BackendError, match="cpu and Lava differ, after"):
        cross_check(pack(network), data, None, 2)

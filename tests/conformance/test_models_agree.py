"""The trained models give the same on cpu and on Lava, at every timestep."""

from pathlib import Path

import pytest

from tests.conformance.replay import MODELS, check, record


def test_trained_models_give_the_same_on_cpu_and_lava(tmp_path: Path) -> None:
    pytest.importorskip("lava", reason="lava is not installed", exc_type=ImportError)
    record(tmp_path)

    lines = check(tmp_path)

    assert len(lines) == len(MODELS)

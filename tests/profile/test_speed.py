"""A profile of 1,000 digits with all counters takes seconds, and so does its report."""

from pathlib import Path

import pytest

from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import load_split
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.profile.profile import profile_inputs
from snn_deploy.report.profile_files import write_profile
from tests.pace import within


def test_a_thousand_digits_take_seconds(tmp_path: Path) -> None:
    pytest.importorskip("snn_deploy.backends.engine._engine")
    graph = load_model(packaged_folder("models") / "mnist_lif" / "model.pt")
    artifact = pack(compile_model(graph, read_target("loihi-sim")))
    test = load_split("mnist5k").test
    data = Data(x=test.x[:1000], y=test.y[:1000], training=graph.training)

    with within(5.0):
        profile = profile_inputs(
            artifact, open_backend("cpu"), data, cutoff=risk(12743)
        )
    with within(3.0):
        write_profile(profile, tmp_path / "p")

    assert len(profile.rows) == 1000
    assert profile.rows.column("synaptic_operations").min() > 0

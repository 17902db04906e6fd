"""A small network for the tests of inputs that fail."""

import pytest

from snn_deploy.artifact import Artifact, pack
from tests.hostile.networks import small_artifact, write_model


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    graph = write_model(tmp_path_factory.mktemp("model") / "model.pt")
    return pack(small_artifact(graph).network)

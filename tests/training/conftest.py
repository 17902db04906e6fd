"""Images that a network of a few weights learns within seconds."""

import numpy as np
import pytest

from snn_deploy.data.datasets import Part


@pytest.fixture
def bars() -> Part:
    """Forty small images of an upright (0) or a lying (1) bar."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40)
    x = rng.integers(0, 60, (40, 1, 13, 13)).astype(np.uint8)
    x[y == 0, :, :, 5:8] = 255
    x[y == 1, :, 5:8, :] = 255
    return Part(x=x, y=y)

"""The example that the authors of the published rule's numbers are worked out on."""

import numpy as np

from snn_deploy.arrays import IntArray
from tests.build import rng

# accumulated outputs of six inputs A to F, four timesteps, three classes; times two, so
# that sample E's 3.5 is an integer
SCORES = (
    2
    * np.array(
        [
            [[3, 1, 0], [5, 2, 0], [8, 3, 0], [9, 5, 1]],
            [[2, 1, 0], [2, 3, 0], [5, 3, 0], [7, 3, 0]],
            [[1, 2, 0], [3, 2, 0], [5, 3, 1], [7, 3, 1]],
            [[0, 1, 3], [0, 2, 5], [0, 3, 8], [1, 4, 9]],
            [[2, 0, 1], [3, 3.5, 1], [4, 6, 1], [5, 8, 1]],
            [[1, 0, 0], [2, 1, 0], [2, 4, 0], [3, 6, 0]],
        ]
    )
).astype(np.int64)
LABELS = np.array([0, 0, 0, 2, 1, 0])
NONE = -np.inf


def some_scores(seed: int, n: int = 30, n_timesteps: int = 6, k: int = 4) -> IntArray:
    """Return outputs that grow by 0, 1 or 2 at every timestep."""
    return rng(seed).integers(0, 3, size=(n, n_timesteps, k)).cumsum(axis=1)

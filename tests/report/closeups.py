"""Small closeups by hand."""

import numpy as np

from snn_deploy.profile.closeups import Closeup, Closeups, LayerSpikes
from tests.report.profiles import N_TIMESTEPS

HEIGHT, WIDTH = 4, 6


def closeups(n_pictures: int = 30, n_close: int = 3) -> Closeups:
    """Return pictures that differ, and inputs whose neuron i spikes from timestep i."""
    pictures = np.arange(n_pictures * HEIGHT * WIDTH) % 251
    return Closeups(
        positions=np.arange(n_pictures),
        pictures=pictures.reshape(n_pictures, HEIGHT, WIDTH).astype(np.uint8),
        inputs=tuple(closeup(position) for position in range(0, 10 * n_close, 10)),
    )


def closeup(position: int) -> Closeup:
    spikes = np.tri(N_TIMESTEPS, 4, dtype=np.bool_)
    layer = LayerSpikes(
        layer="hidden", n_neurons=40, spikes=spikes, counts=10 * spikes.sum(axis=1)
    )
    return Closeup(
        position=position,
        gaps=np.arange(N_TIMESTEPS),
        answers=np.arange(N_TIMESTEPS) % 3,
        layers=(layer,),
    )

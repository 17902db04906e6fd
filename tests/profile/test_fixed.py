"""fixed: what fixed timesteps cost is what a profile of them says."""

from dataclasses import replace

import numpy as np

from snn_deploy.artifact import Artifact
from snn_deploy.backends.counting import Counter
from snn_deploy.backends.registry import open_backend
from snn_deploy.data.data import Data
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.fixed import MOST_POINTS, fixed_costs
from snn_deploy.profile.profile import Schedule, profile_inputs
from tests.build import rng
from tests.hostile.networks import SHAPE

N = 7


def data_for(artifact: Artifact, n: int) -> Data:
    x = rng(2).integers(0, 256, (n, *SHAPE)).astype(np.uint8)
    return Data(x=x, y=None, training=artifact.network.graph.training)


def laid_out_anew(network: MappedNetwork, n_timesteps: int) -> MappedNetwork:
    training = replace(network.graph.training, timesteps=n_timesteps)
    return replace(network, graph=replace(network.graph, training=training))


def test_networks_of_shorter_inputs_share_what_a_spike_causes(
    artifact: Artifact,
) -> None:
    network, other = artifact.network, laid_out_anew(artifact.network, 3)

    short = network.lasting(3)

    assert short.graph.training.timesteps == 3
    assert Counter(short).per_spike is Counter(network).per_spike
    for name, causes in Counter(other).per_spike.items():
        assert causes is not Counter(short).per_spike[name]
        assert (causes != Counter(short).per_spike[name]).nnz == 0


def test_costs_are_those_of_profiles_at_these_timesteps(artifact: Artifact) -> None:
    data, cpu = data_for(artifact, N), open_backend("cpu")

    found = fixed_costs(artifact.network, cpu, data, N, "embedded")

    assert found.n_inputs == N
    n_timesteps = artifact.network.graph.training.timesteps
    assert found.timesteps.tolist() == [*range(1, n_timesteps + 1)]
    for i, t in enumerate(found.timesteps.tolist()):
        short = replace(artifact, network=laid_out_anew(artifact.network, t))
        runs = profile_inputs(short, cpu, data, cutoff=None).runs
        assert found.serial[i] == runs[Schedule.SERIAL].energy().mean()
        assert found.streamed[i] == runs[Schedule.STREAMED].energy().mean()


def test_few_inputs_and_few_timesteps_stand_for_many(artifact: Artifact) -> None:
    data, long = data_for(artifact, 90), artifact.network.lasting(40)
    data = replace(data, training=long.graph.training)

    found = fixed_costs(long, open_backend("cpu"), data, 90, "embedded")

    assert found.n_inputs == 50
    assert len(found.timesteps) == MOST_POINTS
    assert (found.timesteps[0], found.timesteps[-1]) == (1, 40)
    assert np.all(np.diff(found.serial) > 0)

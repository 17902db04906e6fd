"""What fixed timesteps cost on average, the same for all, by their number."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.protocol import Backend
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import bytes_of_input, run_block
from snn_deploy.data.data import Data
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.meter import MOST_BYTES
from snn_deploy.profile.pricing import Pricing
from snn_deploy.profile.rows import Rows

N_INPUTS = 50  # that stand for all, at equal distances
MOST_POINTS = 12  # numbers of timesteps


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedCosts:
    """Mean energies of an input [J], central prices; not a number: unknown."""

    n_inputs: int
    timesteps: IntArray  # (n,), ascending
    serial: FloatArray  # (n,), one by one
    streamed: FloatArray  # (n,)


def fixed_costs(
    network: MappedNetwork, backend: Backend, data: Data, n: int, monitor: str
) -> FixedCosts:
    """Return what some of ``n`` inputs cost at 1, 2, ... timesteps for all."""
    n_timesteps = network.graph.training.timesteps
    at = np.linspace(1, n_timesteps, min(MOST_POINTS, n_timesteps)).round()
    most = max(1, MOST_BYTES // bytes_of_input(network, data.n_rows))
    indices = np.linspace(0, n - 1, min(n, N_INPUTS, most)).round().astype(np.int64)
    stimuli = [data.stimulus(i) for i in indices.tolist()]
    found = []
    for timesteps in at.astype(np.int64).tolist():
        short = network.lasting(timesteps)
        program = backend.load(short)
        block = run_block(program, short, stimuli, never)
        program.close()
        pricing = Pricing(short, None, data.hashes, monitor)
        polls = np.ones(len(block), np.int64)
        ways = Rows(len(block)), Rows(len(block))
        ways[0].extend(pricing.one_by_one(indices, block, polls))
        ways[1].extend(pricing.in_a_stream(indices, [block]))
        found.append([float(rows.energy().mean()) for rows in ways])
    serial, streamed = np.array(found).T
    return FixedCosts(
        n_inputs=len(indices),
        timesteps=at.astype(np.int64),
        serial=serial,
        streamed=streamed,
    )

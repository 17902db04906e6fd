"""What an input has cost by each timestep at which it could stop."""

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import Activity
from snn_deploy.chip.target import CENTRAL
from snn_deploy.costs.energy import dynamic_energy
from snn_deploy.costs.latency import timestep_durations
from snn_deploy.costs.prices import Prices
from snn_deploy.ir.mapped import MappedNetwork


def stopping_costs(
    network: MappedNetwork, activity: Activity, looks: IntArray, prices: Prices
) -> tuple[FloatArray, FloatArray]:
    """Return energy [J] and time [s] up to a stop after each timestep, ``(n,)``.

    At central prices, served one by one; not a number where a price is unknown. The
    first timestep includes filling the pipeline.

    Parameters
    ----------
    network : MappedNetwork
    activity : Activity
        Of one input that ran ``n`` timesteps.
    looks : array
        The timesteps at which the host reads the outputs.
    prices : Prices
        Those of the network, polled by who polls it.
    """
    cores, chip = activity.cores, activity.chip
    durations = timestep_durations(cores, chip, prices)[:, CENTRAL]
    events = (cores.sum(axis=1).cumsum(axis=0), chip.cumsum(axis=0))
    dynamic = dynamic_energy(*events, prices)[:, CENTRAL]
    n = len(chip) - network.graph.depth
    n_polls = np.searchsorted(looks, np.arange(1, n + 1), side="right")
    behind_pipeline = slice(network.graph.depth, None)
    time: FloatArray = durations.cumsum()[behind_pipeline]
    time = time + n_polls * prices.poll[CENTRAL]
    held = time + prices.clearing[CENTRAL]
    power = prices.power[CENTRAL]
    energy = dynamic[behind_pipeline] + prices.reset[CENTRAL] + power * held
    return energy, time

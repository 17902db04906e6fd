"""What all our models share: the input's own clock, and the return to rest."""

import os

from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.process import ProcessParameters

from snn_deploy.backends.lava.memory import Ledger


class TimedModel(PyLoihiProcessModel):
    """A model with a clock that starts at 1 with every input.

    Lava pauses after the last timestep of an input; then every model returns to rest.
    """

    def __init__(self, proc_params: ProcessParameters) -> None:
        super().__init__(proc_params)
        self.ledger: Ledger = proc_params["ledger"]
        self.ledger.process_id[0] = os.getpid()
        self.timestep = 0

    def run_spk(self) -> None:
        """Lava's name for what a process does in one timestep."""
        self.timestep += 1
        self.run_timestep()
        self.ledger.n_steps[0] += 1

    def run_timestep(self) -> None:
        """Compute chip timestep ``self.timestep`` of the input."""
        raise NotImplementedError

    def rest(self) -> None:
        """Return to the state before the first timestep."""

    def _pause(self) -> None:
        self.ledger.executed[0] = self.timestep
        self.timestep = 0
        self.rest()
        super()._pause()

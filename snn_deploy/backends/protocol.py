"""The protocols of the machines that run a compiled network."""

import threading
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import Activity, Block, StepRecord
from snn_deploy.errors import BackendError
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus

QUANTITIES = ("spikes", "current", "voltage")
LIMITED = ("saturations", "wraps")  # in a timestep, of a whole population

# (population, quantity) -> (n_chip_timesteps, n_neurons), in chip time; until a
# population's first timestep spikes and current are 0, the voltage its initial one;
# of ``LIMITED`` (n_chip_timesteps, 1)
Recording = dict[tuple[str, str], IntArray]


class Session(Protocol):
    """A batch of inputs in progress, all at the same timestep.

    One thread uses it at a time; what a second one asks meanwhile is refused.
    """

    def step(self) -> StepRecord | None:
        """Advance one input timestep; ``None`` once every input is retired or over."""

    def retire(self, inputs: IntArray) -> None:
        """Stop computing these inputs; the rest go on unchanged."""

    def activity(self, position: int) -> Activity:
        """Return what a retired input made the chip do, up to its last timestep."""

    def close(self) -> None:
        """Free the machine, whatever happened."""


class Turn:
    """Lets one thread in at a time, and sends others away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise BackendError(
                "a session is in use by another thread; give each thread its own"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Program(Protocol):
    """A mapped network, loaded and ready to run.

    Threads may share one on the cpu. Lava has one machine: a new session ends another.
    """

    max_batch: int  # 1 on Lava, as on a chip

    def start(
        self, stimuli: Sequence[Stimulus], looks: IntArray | None = None
    ) -> Session:
        """Begin a batch from rest.

        Parameters
        ----------
        stimuli : sequence of Stimulus
        looks : array, optional
            The timesteps at which inputs may be retired, ascending, the last one among
            them; every one if not given. A machine need not wait for the host, or tell
            it anything, at others.
        """

    def record(
        self,
        stimulus: Stimulus,
        quantities: Sequence[str],
        *,
        n_timesteps: int,
        reset_every: int | None = None,
    ) -> Recording:
        """Run one input for ``n_timesteps`` from rest; return what its neurons did.

        Populations run on until the last one has done these timesteps, whatever the
        target's neurons can do.

        Parameters
        ----------
        stimulus : Stimulus
        quantities : sequence of str
            Of ``QUANTITIES`` and ``LIMITED``.
        n_timesteps : int
            Input timesteps; the chip runs longer, by the depth of its pipeline.
        reset_every : int, optional
            Every population returns to rest before its local timesteps ``reset_every``
            + 1, 2 ``reset_every`` + 1, ...; spikes on the way still arrive.
        """

    def close(self) -> None:
        """Free the machine; sessions that are open end."""


@runtime_checkable
class BatchProgram(Program, Protocol):
    """A program that can take the host's part: run inputs and stop them itself."""

    def run(
        self, stimuli: Sequence[Stimulus], betas: FloatArray, *, is_counted: bool
    ) -> Block | None:
        """Run each input until its outputs have settled; ``None``: step instead.

        Parameters
        ----------
        stimuli : sequence of Stimulus
        betas : array, (n_timesteps,)
            An input stops once its best accumulated output leads the second by more.
        is_counted : bool
            Whether to count what the chip would do.
        """

    def record_all(
        self,
        stimuli: Sequence[Stimulus],
        quantities: Sequence[str],
        *,
        n_timesteps: int,
        reset_every: int | None = None,
    ) -> list[Recording]:
        """Return what ``record`` does for each input, sooner."""


class Backend(Protocol):
    """A machine, or a simulator of one."""

    name: str
    is_slow: bool  # an input takes seconds: results are kept after few

    def load(self, network: MappedNetwork) -> Program:
        """Lay the network out for this machine."""

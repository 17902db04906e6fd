"""The compiled engine; its sources are in ``engine/``."""

from snn_deploy.arrays import FloatArray, IntArray

def instruction_sets() -> list[str]:
    """Return the instruction sets that run here, the fastest first."""

class LimitError(ValueError):
    """The network makes sense, but the engine cannot run it exactly."""

class Builder:
    """Makes a network, part by part."""

    def __init__(
        self,
        *,
        height: int,
        width: int,
        channels: int,
        timesteps: int,
        functional: str,
        holds: bool = False,
    ) -> None: ...
    def add_population(
        self,
        *,
        height: int,
        width: int,
        channels: int,
        current_keep: IntArray,
        voltage_keep: IntArray,
        bias: IntArray,
        threshold: IntArray,
        reset_amount: IntArray,
        initial_voltage: IntArray,
        position: IntArray,
        is_hard: bool,
        refractory: int,
        max_spikes: int,
        spikes: bool,
        takes_bias: bool,
        bias_exponent: int,
        offset: int,
        is_watched: bool = False,
        lowest_voltage: IntArray | None = None,
    ) -> int: ...
    def add_dense(
        self,
        *,
        source: int,
        target: int,
        weights: IntArray,
        shift: int,
        delay: int,
        axon_delay: IntArray,
        is_direct: bool,
    ) -> None: ...
    def add_conv(
        self,
        *,
        source: int,
        target: int,
        weights: IntArray,
        shift: int,
        delay: int,
        axon_delay: IntArray,
        is_direct: bool,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> None: ...
    def add_sparse(
        self,
        *,
        source: int,
        target: int,
        weights: IntArray,
        shift: int,
        delay: int,
        axon_delay: IntArray,
        starts: IntArray,
        targets: IntArray,
    ) -> None: ...
    def read_out(self, population: int) -> None: ...
    def build(self) -> Network:
        """Return the network; nothing can be added any more."""

class Tally:
    """What the chip does for a spike of each neuron of a sender."""

    def __init__(
        self,
        *,
        kind_of: IntArray,
        starts: IntArray,
        columns: IntArray,
        amounts: IntArray,
        core_of: IntArray,
    ) -> None: ...

class Counting:
    """What is to be counted in a network."""

    def __init__(
        self,
        network: Network,
        *,
        mapped: IntArray,
        n_columns: int,
        core_columns: int,
        access: int,
        update: int,
        limits: int,
        tallies: list[Tally],
    ) -> None: ...

class Network:
    """A network, complete; it does not change."""

    def run(
        self,
        inputs: list[tuple[IntArray, bool, IntArray | None]],
        thresholds: FloatArray,
        threads: int,
        counting: Counting | None,
        instructions: str = "",
        is_extreme: bool = False,
    ) -> tuple[IntArray, IntArray, IntArray, BaseException | None]: ...

class Session:
    """Inputs that advance when they are told to, by one thread at a time."""

    def __init__(
        self,
        network: Network,
        inputs: list[tuple[IntArray, bool, IntArray | None]],
        counting: Counting | None,
        instructions: str = "",
        is_extreme: bool = False,
    ) -> None: ...
    def step(self, which: IntArray) -> IntArray: ...
    def finish(self, which: int) -> IntArray: ...

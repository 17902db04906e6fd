"""The compiled engine; its sources are in ``engine/``."""

from snn_deploy.arrays import FloatArray, IntArray

def instruction_sets() -> list[str]:
    """Return the instruction sets that run here, the fastest first."""

class Network:
    def __init__(
        self, height: int, width: int, channels: int, timesteps: int, functional: str
    ) -> None: ...
    def add_population(
        self,
        height: int,
        width: int,
        channels: int,
        registers: list[IntArray],
        initial_voltage: IntArray,
        position: IntArray,
        is_hard: bool,
        refractory: int,
        max_spikes: int,
        spikes: bool,
        takes_bias: bool,
        bias_exponent: int,
        offset: int,
    ) -> int: ...
    def add_dense(
        self,
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
        source: int,
        target: int,
        weights: IntArray,
        shift: int,
        delay: int,
        axon_delay: IntArray,
        is_direct: bool,
        geometry: list[int],
    ) -> None: ...
    def add_sparse(
        self,
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
    def count(
        self,
        mapped: IntArray,
        n_links: int,
        tallies: list[tuple[IntArray, IntArray, IntArray, IntArray, IntArray]],
    ) -> None: ...
    def run(
        self,
        inputs: list[tuple[IntArray, bool, IntArray | None]],
        thresholds: FloatArray,
        threads: int,
        is_counted: bool,
        instructions: str = "",
    ) -> tuple[IntArray, IntArray, IntArray, BaseException | None]: ...

class Session:
    def __init__(
        self,
        network: Network,
        inputs: list[tuple[IntArray, bool, IntArray | None]],
        is_counted: bool,
        instructions: str = "",
    ) -> None: ...
    def step(self, which: IntArray) -> IntArray: ...
    def finish(self, which: int) -> IntArray: ...

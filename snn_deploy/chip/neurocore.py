"""What a neurocore holds: the limit of each resource, and what is taken of it."""

from dataclasses import dataclass
from typing import TypeVar

from snn_deploy.arrays import IntArray
from snn_deploy.errors import TargetError

T = TypeVar("T", int, IntArray)

COMPARTMENTS, BITS = "compartments", "bits of synaptic memory"
INPUT_AXONS, OUTPUT_AXONS = "input axons", "output axons"
MEMORY = "bits of memory"
FAN_IN, FAN_OUT = "synapses of fan-in", "synapses of fan-out"
MOST = 1 << 40  # of anything


def check_counts(limits: object, *, or_none: tuple[str, ...] = ()) -> None:
    """Raise a ``TargetError`` for a number under 1, or under 0, or that no chip has."""
    for name, value in vars(limits).items():
        least = 0 if name in or_none else 1
        if type(value) is int and value < least:
            raise TargetError(f"{name!r} is {value}; at least {least} is needed")
        if type(value) is int and value > MOST:
            raise TargetError(f"{name!r} is over {MOST}, which no chip has")


@dataclass(frozen=True, kw_only=True)
class NeurocoreLimits:
    """What one neurocore holds, and how synapses lie in its memory.

    Neurons of a layer can share an input axon, if each says with its spike which of
    them it is: those at one position of a convolution's input, or any of a dense
    layer's. Weights lie in blocks with a header, rounded up to words; weights that are
    not dense have an index each.

    ``memory_bits`` is the room that synapses, neurons and output axons share, where a
    chip divides it as a network needs it; ``output_axons`` the room for these alone.
    ``weight_formats`` are the bits that the weights of a layer may have, if not all
    layers have those of the precision: the fewest that hold all of its weights count.
    ``fan_in`` and ``fan_out`` are the most synapses onto, and from, one neuron.
    ``None`` means no limit.
    """

    compartments: int
    synaptic_memory_bits: int
    input_axons: int
    shares_kernels: bool  # True: a convolution stores each kernel once per neurocore
    source: str
    neurons_per_axon: int = 1  # that can share an input axon
    index_bits: int = 0  # of a weight in a convolution, or one of single synapses
    synapses_per_block: int = 1
    block_header_bits: int = 0
    memory_word_bits: int = 1
    output_axons: int | None = None
    memory_bits: int | None = None
    neuron_bits: int = 0  # of the shared memory, for each neuron
    output_axon_bits: int = 0
    fan_in: int | None = None
    fan_out: int | None = None
    weight_formats: tuple[int, ...] = ()  # ascending
    reads_zeros: bool = True  # a stored weight of 0 is a synaptic operation as well

    def __post_init__(self) -> None:
        formats = self.weight_formats
        if [*formats] != sorted({*formats}) or any(
            type(bits) is not int or not 1 <= bits <= 8 for bits in formats
        ):
            raise TargetError(
                f"'weight_formats' is {[*formats]}; give whole numbers from 1 to 8, "
                "ascending"
            )
        if self.memory_bits is None and (self.neuron_bits or self.output_axon_bits):
            raise TargetError(
                "'neuron_bits' and 'output_axon_bits' are parts of 'memory_bits', "
                "which is missing; add it, or remove them"
            )
        may_be_0 = ("index_bits", "block_header_bits", "neuron_bits")
        check_counts(self, or_none=(*may_be_0, "output_axon_bits"))

    @property
    def room(self) -> dict[str, int]:
        """What there is of each resource that is limited."""
        limits = {
            COMPARTMENTS: self.compartments,
            BITS: self.synaptic_memory_bits,
            INPUT_AXONS: self.input_axons,
            OUTPUT_AXONS: self.output_axons,
            MEMORY: self.memory_bits,
        }
        return {what: limit for what, limit in limits.items() if limit is not None}

    def taken(
        self, n_neurons: T, synapse_bits: T, n_input_axons: T, n_output_axons: T
    ) -> dict[str, T]:
        """Return what these take of each resource that is limited."""
        neurons, routes = (
            n_neurons * self.neuron_bits,
            n_output_axons * self.output_axon_bits,
        )
        found = {
            COMPARTMENTS: n_neurons,
            BITS: synapse_bits,
            INPUT_AXONS: n_input_axons,
            OUTPUT_AXONS: n_output_axons,
            MEMORY: synapse_bits + neurons + routes,
        }
        return {what: found[what] for what in self.room}

    def bits_of_weights(self, n_weights: int, weight_bits: int) -> int:
        """Return the memory that a run of weights takes, their indices included."""
        n_blocks, rest = divmod(n_weights, self.synapses_per_block)
        full = self._block_bits(self.synapses_per_block, weight_bits)
        return n_blocks * full + (self._block_bits(rest, weight_bits) if rest else 0)

    def _block_bits(self, n_weights: int, weight_bits: int) -> int:
        bits = n_weights * weight_bits + self.block_header_bits
        return -(-bits // self.memory_word_bits) * self.memory_word_bits

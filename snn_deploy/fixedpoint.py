"""The chip's integer arithmetic: decays, shifts, wraps, saturation, rounding.

Everything that turns floats into integers, or drops bits of an integer, happens here.
The rules are those of Lava's bit-accurate ``LIF`` model, which follows Loihi.
"""

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray

STATE_BITS = 24
VOLTAGE_LIMIT = (1 << (STATE_BITS - 1)) - 1  # the voltage saturates at plus and minus
DECAY_BITS = 12
INPUT_SHIFT = (
    6  # synaptic input and threshold are shifted left by this, the bias is not
)
THRESHOLD_BITS = 17
BIAS_MANTISSA_BITS = 13  # signed
BIAS_MANTISSA_LIMIT = (1 << (BIAS_MANTISSA_BITS - 1)) - 1
BIAS_EXPONENT_BITS = 3
REFRACTORY_BITS = 6
PAYLOAD_BITS = 16  # of a graded spike


def decay(values: IntArray, register: IntArray | int) -> IntArray:
    """Return ``values`` after losing ``register`` / 4096, rounded toward zero."""
    kept = np.abs(values) * ((1 << DECAY_BITS) - np.asarray(register, dtype=np.int64))
    decayed: IntArray = np.sign(values) * (kept >> DECAY_BITS)
    return decayed


def wrap_current(values: IntArray) -> IntArray:
    """Return ``values`` wrapped into (-2**23, 2**23], as often as it takes."""
    half = 1 << (STATE_BITS - 1)
    return (values + (half - 1)) % (2 * half) - (half - 1)


def saturate_voltage(
    values: IntArray, lowest: IntArray | int = -VOLTAGE_LIMIT
) -> IntArray:
    """Return ``values`` clipped to ``lowest`` and 2**23 - 1."""
    return np.clip(values, lowest, VOLTAGE_LIMIT)


def shift(values: IntArray, exponent: int) -> IntArray:
    """Return ``values * 2**exponent``; a negative exponent rounds down (floor)."""
    return values << exponent if exponent >= 0 else values >> -exponent


def to_integers(values: FloatArray | float) -> IntArray:
    """Return the nearest integers, ties to even."""
    return np.rint(np.asarray(values, dtype=np.float64)).astype(np.int64)


def to_multiples(values: FloatArray, step: int) -> IntArray:
    """Return the nearest multiples of ``step``, as weights drop their lowest bits."""
    return step * to_integers(np.asarray(values, dtype=np.float64) / step)


def bias_registers(values: FloatArray, least: int) -> tuple[IntArray, int]:
    """Return the mantissas and the smallest common exponent that hold ``values``.

    The exponent is ``least`` or as large as the largest value needs, and may exceed
    what the chip's register holds; the caller checks it.
    """
    largest = float(np.max(np.abs(values), initial=0.0))
    exponent = least
    while np.rint(largest / (1 << exponent)) > BIAS_MANTISSA_LIMIT:
        exponent += 1
    return to_integers(values / (1 << exponent)), exponent


def exponent_for(largest: float, limit: int) -> int:
    """Return the smallest exponent e, of either sign, with largest <= limit * 2**e."""
    if largest <= 0:
        return 0
    exponent = int(np.ceil(np.log2(largest / limit)))
    while largest > limit * 2.0**exponent:  # log2 rounds
        exponent += 1
    while largest <= limit * 2.0 ** (exponent - 1):
        exponent -= 1
    return exponent

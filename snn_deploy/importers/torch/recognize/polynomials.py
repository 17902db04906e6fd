"""What a neuron computes as polynomials in its inputs and its spikes.

A value is a sum of products. The factors are the inputs of single timesteps, and gates:
a gate is 1 where some polynomial is over 0, else 0, and so its own square. Whatever is
written for ``v * (1 - s)`` has one form. Coefficients are arrays that broadcast against
the neurons' shape.
"""

from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import FloatArray

SAME = 1e-9  # relative: two ways to compute the same gate
MAX_TERMS = 256
MAX_GATES = 8  # that a value may depend on and yet be tabulated


class UnreadableError(Exception):
    """What a forward does has no counterpart; the text says what it does."""


@dataclass(frozen=True)
class Term:
    """A product: the inputs of these timesteps times these gates."""

    inputs: tuple[int, ...] = ()
    gates: frozenset[int] = frozenset()

    def times(self, other: "Term") -> "Term":
        """Return the product of two products."""
        inputs = tuple(sorted(self.inputs + other.inputs))
        return Term(inputs, self.gates | other.gates)


CONSTANT = Term()
Scalar: TypeAlias = float | FloatArray


class Polynomial:
    """A sum of terms, each with its coefficient."""

    def __init__(self, terms: dict[Term, FloatArray]) -> None:
        self.terms = {t: c for t, c in terms.items() if np.any(c)}
        if len(self.terms) > MAX_TERMS:
            raise UnreadableError("multiplies its states in ever more ways")

    def __add__(self, other: "Polynomial | Scalar") -> "Polynomial":
        terms = dict(self.terms)
        for term, coefficient in polynomial(other).terms.items():
            terms[term] = terms[term] + coefficient if term in terms else coefficient
        return Polynomial(terms)

    def __mul__(self, other: "Polynomial | Scalar") -> "Polynomial":
        terms: dict[Term, FloatArray] = {}
        for mine, a in self.terms.items():
            for theirs, b in polynomial(other).terms.items():
                term = mine.times(theirs)
                terms[term] = terms[term] + a * b if term in terms else a * b
        return Polynomial(terms)

    def __sub__(self, other: "Polynomial | Scalar") -> "Polynomial":
        return self + polynomial(other) * -1.0

    def __rsub__(self, other: Scalar) -> "Polynomial":
        return polynomial(other) - self

    __radd__, __rmul__ = __add__, __mul__

    def at(self, *inputs: int, gates: tuple[int, ...] = ()) -> FloatArray:
        """Return the coefficient of a term."""
        return self.terms.get(Term(inputs, frozenset(gates)), np.zeros(()))

    @property
    def inputs(self) -> set[int]:
        """The timesteps whose inputs it depends on, but for gates."""
        return {t for term in self.terms for t in term.inputs}

    @property
    def gates(self) -> set[int]:
        """The gates it depends on."""
        return {d for term in self.terms for d in term.gates}

    @property
    def constant(self) -> FloatArray:
        """The value where all inputs and gates are 0."""
        return self.at()

    def where(self, gate: int, value: int) -> "Polynomial":
        """Return the polynomial with one gate known."""
        total = Polynomial({})
        for term, coefficient in self.terms.items():
            if gate not in term.gates:
                total += Polynomial({term: coefficient})
            elif value:
                left = Term(term.inputs, term.gates - {gate})
                total += Polynomial({left: coefficient})
        return total


def polynomial(value: "Polynomial | npt.ArrayLike") -> Polynomial:
    """Return a polynomial, or a constant as one."""
    if isinstance(value, Polynomial):
        return value
    return Polynomial({CONSTANT: np.asarray(value, np.float64)})


def arriving(timestep: int) -> Polynomial:
    """Return the input of one timestep."""
    return Polynomial({Term((timestep,)): np.ones(())})


def opening(gate: int) -> Polynomial:
    """Return a gate: 1 where it is open, else 0."""
    return Polynomial({Term((), frozenset({gate})): np.ones(())})


@dataclass(frozen=True, eq=False)
class Gate:
    """Open, 1, where ``over`` is over 0, or at 0 too, and else 0.

    ``over`` grows with its latest input.
    """

    over: Polynomial
    takes_zero: bool


class Gates:
    """The gates of one neuron so far, each once."""

    def __init__(self) -> None:
        self.all: list[Gate] = []

    def over_zero(self, value: Polynomial, *, takes_zero: bool) -> Polynomial:
        """Return 1 where ``value`` is over 0, or at 0 if that is taken, else 0."""

        def decide(known: FloatArray) -> FloatArray:
            return (known >= 0 if takes_zero else known > 0).astype(np.float64)

        if not value.inputs:
            return tabulated(value, decide)
        for gate in value.gates:
            closed, opened = value.where(gate, 0), value.where(gate, 1)
            if not closed.inputs:  # its input comes through this gate alone
                behind = self._behind(gate, opened, takes_zero=takes_zero)
                before = self.over_zero(closed, takes_zero=takes_zero)
                return opening(gate) * behind + (1.0 - opening(gate)) * before
        gain = value.at(max(value.inputs))
        if np.all(gain <= 0) and np.any(gain < 0):
            return 1.0 - self.over_zero(value * -1.0, takes_zero=not takes_zero)
        return self._gate(Gate(over=value, takes_zero=takes_zero))

    def _behind(self, gate: int, value: Polynomial, *, takes_zero: bool) -> Polynomial:
        """Return whether ``value`` is over 0, where a gate is open."""
        known = self.all[gate]
        if not known.takes_zero and is_scaled(value, known.over):
            return polynomial(1.0)
        if not known.takes_zero and is_scaled(value * -1.0, known.over):
            return polynomial(0.0)
        return self.over_zero(value, takes_zero=takes_zero)

    def _gate(self, gate: Gate) -> Polynomial:
        same = (i for i, d in enumerate(self.all) if _is_equivalent(d, gate))
        index = next(same, len(self.all))
        if index == len(self.all):
            self.all.append(gate)
        return opening(index)

    def positive_part(self, value: Polynomial) -> Polynomial:
        """Return ``max(value, 0)``."""
        return value * self.over_zero(value, takes_zero=False)


def tabulated(value: Polynomial, function: object) -> Polynomial:
    """Return a function of a value that depends on nothing but gates.

    Raises
    ------
    UnreadableError
        If it depends on an input, or on too many gates.
    """
    assert callable(function)
    gates = sorted(value.gates)
    if value.inputs or len(gates) > MAX_GATES:
        raise UnreadableError("takes another function of a voltage than a comparison")
    total = Polynomial({})
    for values in product((0, 1), repeat=len(gates)):
        known, case = value, polynomial(1.0)
        for gate, is_on in zip(gates, values, strict=True):
            known = known.where(gate, is_on)
            case *= opening(gate) if is_on else 1.0 - opening(gate)
        total += case * np.asarray(function(known.constant), np.float64)
    return total


def _is_equivalent(mine: Gate, other: Gate) -> bool:
    """Return whether two gates are one."""
    return mine.takes_zero == other.takes_zero and is_scaled(mine.over, other.over)


def is_scaled(a: Polynomial, b: Polynomial) -> bool:
    """Return whether two polynomials are the same but for a factor over 0."""
    return is_same(a * _scale(b), b * _scale(a))


def is_same(a: Polynomial, b: Polynomial) -> bool:
    """Return whether two polynomials are the same but for rounding."""
    zero = np.zeros(())
    return all(
        is_close(a.terms.get(term, zero), b.terms.get(term, zero))
        for term in a.terms.keys() | b.terms.keys()
    )


def _scale(value: Polynomial) -> FloatArray:
    """Return a number over 0 by which equal gates become equal polynomials."""
    gain = value.at(max(value.inputs, default=0))
    return np.where(gain > 0, gain, 1.0)


def is_close(a: Scalar, b: Scalar) -> bool:
    """Return whether two values are the same but for rounding."""
    return bool(np.allclose(a, b, rtol=SAME, atol=1e-12))

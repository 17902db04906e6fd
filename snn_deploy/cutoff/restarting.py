"""A machine that may die of an input: it is tried twice, and the rest goes on."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from snn_deploy.backends.protocol import Program
from snn_deploy.backends.results import Failure
from snn_deploy.errors import BackendError

T = TypeVar("T")


class Restarting:
    """A program that is loaded when it is needed, and again when it has failed.

    Parameters
    ----------
    load : callable
        Returns the program, started; it is called a second time if that fails.
    """

    def __init__(self, load: Callable[[], Program]) -> None:
        self.load = load
        self.program: Program | None = None

    def run(
        self, indices: list[int], attempt: Callable[[Program, int], Iterator[T]]
    ) -> Iterator[T | Failure]:
        """Yield what each input gives, or that it has failed twice.

        Parameters
        ----------
        indices : list of int
            Of the inputs, in the order in which they run.
        attempt : callable
            Yields what the inputs from this place of ``indices`` on give.

        Raises
        ------
        BackendError
            If the program cannot be loaded; or if it fails and runs several inputs at
            once, so that it is unknown which one it is.
        """
        place, n_failed = 0, 0
        while place < len(indices):
            program = self.start()
            try:
                for found in attempt(program, place):
                    place, n_failed = place + 1, 0
                    yield found
            except BackendError as error:
                if program.max_batch > 1:
                    raise
                self.close()
                n_failed += 1
                if n_failed == 2:
                    yield Failure(index=indices[place], reason=str(error))
                    place, n_failed = place + 1, 0

    def start(self) -> Program:
        """Return the program, loaded."""
        if self.program is None:
            try:
                self.program = self.load()
            except BackendError:
                self.program = self.load()
        return self.program

    def close(self) -> None:
        """Free the machine."""
        if self.program is not None:
            self.program.close()
            self.program = None

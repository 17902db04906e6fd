"""One line that says how fast a training is and how long it still takes."""

import sys
import time
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from snn_deploy.training.checkpoint import Checkpoint
from snn_deploy.training.recipes import Recipe


class Meter:
    """Shows the progress of a training; in a log, one line for each epoch.

    An input counts as often as it has timesteps: what is left is estimated by that.
    """

    def __init__(self, recipe: Recipe, n_inputs: int, *, done: Checkpoint) -> None:
        self._recipe, self._n_inputs = recipe, n_inputs
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            console=console,
            disable=not sys.stderr.isatty(),
        )
        self._work = [
            phase.epochs * n_inputs * recipe.timesteps_of(number)
            for number, phase in enumerate(recipe.phases)
        ]
        self._task = self._progress.add_task("", total=sum(self._work), speed="")
        self._phase, self._epoch, self._n_seen = done.phase, done.n_epochs, 0
        self._loss, self._began = "", time.perf_counter()
        self._n_worked, self._n_seconds = 0, 0.0  # in this process

    def __enter__(self) -> "Meter":
        self._progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()

    def begin_epoch(self, phase: int, n_epochs: int) -> None:
        """Note that an epoch of ``phase`` starts, ``n_epochs`` of it being done."""
        self._phase, self._epoch, self._n_seen = phase, n_epochs, 0
        self._began = time.perf_counter()

    def advance(self, n_inputs: int) -> None:
        """Note that ``n_inputs`` more have been trained on."""
        self._n_seen += n_inputs
        self._progress.update(
            self._task,
            completed=self._n_done(),
            description=self._where(),
            speed=self._speed(),
        )

    def end_epoch(self, loss: float) -> None:
        """Note the loss on the inputs held out after an epoch."""
        self._loss = f", held-out loss {loss:.4f}"
        if self._progress.disable:
            line = f"{self._where()}, {self._speed()}"
            self._progress.console.print(line, soft_wrap=True)
        self._n_worked += self._n_seen * self._recipe.timesteps_of(self._phase)
        self._n_seconds += time.perf_counter() - self._began

    def _n_done(self) -> int:
        n_inputs = self._epoch * self._n_inputs + self._n_seen
        now = n_inputs * self._recipe.timesteps_of(self._phase)
        return sum(self._work[: self._phase]) + now

    def _where(self) -> str:
        phases = self._recipe.phases
        return (
            f"{self._recipe.name}: phase {self._phase + 1} of {len(phases)}, epoch "
            f"{self._epoch + 1} of {phases[self._phase].epochs}{self._loss}"
        )

    def _speed(self) -> str:
        now = time.perf_counter() - self._began
        seen = self._n_seen * self._recipe.timesteps_of(self._phase)
        per_work = (self._n_seconds + now) / (self._n_worked + seen)
        left = timedelta(seconds=round((sum(self._work) - self._n_done()) * per_work))
        return f"{self._n_seen / now:.0f} inputs/s, {left} left"

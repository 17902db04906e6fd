"""Progress: a bar in a terminal or a notebook, one of the user's, or none."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
# a callable takes what is iterated, ``total=`` and ``desc=``, as that of tqdm does
Progress = bool | Callable[..., Iterable[Any]]


def bar(progress: Progress) -> Callable[[Iterable[T], int, str], Iterable[T]]:
    """Return what wraps ``n`` results and shows how many are done."""
    if progress is False:
        return lambda results, n, what: results
    if progress is True:
        return with_progress
    return lambda results, n, what: progress(results, total=n, desc=what)


def with_progress(results: Iterable[T], n: int, what: str) -> Iterator[T]:
    """Yield ``results`` with a bar, if somebody may be looking."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    is_seen = console.is_jupyter or sys.stderr.isatty()
    with Progress(
        *columns, console=console, disable=not is_seen, transient=True
    ) as shows:
        yield from shows.track(results, total=n, description=what)

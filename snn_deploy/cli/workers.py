"""Options of commands that can measure on several processes."""

import argparse
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from snn_deploy.cli.reading import positive

if TYPE_CHECKING:
    from snn_deploy.profile.workers import Workers


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who measures."""
    many = parser.add_mutually_exclusive_group()
    many.add_argument(
        "--workers", type=positive, metavar="N", help="measure on N processes"
    )
    many.add_argument(
        "--scheduler",
        default="",
        metavar="ADDRESS",
        help="measure on a cluster of Dask, such as tcp://host:8786",
    )


def workers_of(
    options: argparse.Namespace,
) -> "AbstractContextManager[Workers | None]":
    """Return who measures; ``None`` is this process."""
    if not options.workers and not options.scheduler:
        return nullcontext()
    from snn_deploy.profile.workers import open_workers

    return open_workers(options.workers or 0, options.scheduler)

"""Print text and tables."""

import argparse
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from snn_deploy.names import shown

WIDTH_OF_A_PIPE = 120


def out(text: str) -> None:
    """Print a line, or several."""
    print(readable(text))


def note(text: str) -> None:
    """Print a line beside the results, on standard error."""
    print(readable(text), file=sys.stderr, flush=True)


def add_json_option(parser: Any) -> None:
    """Add ``--json``, see ``give_json``."""
    parser.add_argument(
        "--json", action="store_true", help="print JSON alone, a line of it"
    )


@contextmanager
def json_alone(options: argparse.Namespace) -> Iterator[None]:
    """With ``--json`` let nothing else reach standard output."""
    options.stream = sys.stdout
    if getattr(options, "json", False):
        with redirect_stdout(io.StringIO()):
            yield
    else:
        yield


def give_json(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """With ``--json`` print what a command found, on one line."""
    if options.json:
        print(json.dumps(found, allow_nan=False), file=options.stream, flush=True)


def readable(text: str) -> str:
    """Return lines without what steers a terminal, or hides what is written."""
    return "\n".join(shown(line) for line in text.split("\n"))


def show_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Print a table; columns of numbers are aligned to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(readable(title)), title_justify="left")
    cells = [[shown(str(cell)) for cell in row] for row in rows]
    for number, name in enumerate(columns):
        is_numeric = all(_is_number(row[number]) for row in cells)
        table.add_column(Text(name), justify="right" if is_numeric else "left")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else WIDTH_OF_A_PIPE
    Console(width=width).print(table)


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in "+-" or text in ("unknown", "")

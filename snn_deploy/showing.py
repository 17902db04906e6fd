"""Short tables of what people look at, as text and as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

MOST_ROWS = 24
Row = Sequence[object]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A line above, rows below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()


def as_text(*tables: Table) -> str:
    """Return tables for a terminal, numbers aligned to the right."""
    lines: list[str] = []
    for table in tables:
        lines.append(table.title)
        if not table.rows:
            lines += table.notes
            continue
        cells = [tuple(table.columns), *(_cells(row) for row in _short(table.rows))]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            aligned = [
                cell.rjust(width) if cells[-1][i][:1].isdigit() else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(f"  {'  '.join(aligned).rstrip()}")
        lines += table.notes
    return "\n".join(lines)


def as_html(*tables: Table) -> str:
    """Return tables for a notebook."""
    parts: list[str] = []
    for table in tables:
        head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(row))}</tr>"
            for row in _short(table.rows)
        )
        parts.append(f"<p><b>{escape(table.title)}</b></p>")
        if table.rows:
            parts.append(
                f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            )
        parts += [f"<p>{escape(note)}</p>" for note in table.notes]
    return "\n".join(parts)


def _short(rows: Sequence[Row]) -> list[Row]:
    """Return rows, those in the middle of a long table left out."""
    if len(rows) <= MOST_ROWS:
        return [*rows]
    half, width = MOST_ROWS // 2, len(rows[0])
    left = (f"... {len(rows) - 2 * half} more", *[""] * (width - 1))
    return [*rows[:half], left, *rows[-half:]]


def _cells(row: Row) -> tuple[str, ...]:
    return tuple(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)

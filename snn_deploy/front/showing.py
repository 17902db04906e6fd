"""Short tables of what people look at, as text and as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from snn_deploy.artifact import Artifact
from snn_deploy.ir.mapped import MappedNetwork

MOST_ROWS = 24
Row = Sequence[object]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A line above, rows below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()


def network_tables(artifact: Artifact) -> list[Table]:
    """Return the layers of a compiled network, and what became of it."""
    network = artifact.network
    graph, chip = network.graph, network.target.mesh.neurocores * network.n_chips
    rows = [
        (
            population.name,
            "x".join(map(str, population.shape)),
            population.size,
            _n_cores(network, population.name),
            sum(p.synapses.weights.size for p in graph.projections_into(population)),
        )
        for population in graph.populations
    ]
    n_neurons = sum(population.size for population in graph.populations)
    chips = "" if network.n_chips == 1 else f"{network.n_chips} chips "
    kinds = ", ".join(dict.fromkeys(change.kind for change in graph.changes))
    calibration = artifact.calibration
    stops = "not calibrated: runs all timesteps"
    if calibration is not None:
        stops = (
            f"rule {calibration.rule}: {calibration.mean_timesteps:.2f} timesteps on "
            f"average, loss at most {calibration.budget:.2g}"
        )
    return [
        Table(
            title=(
                f"{graph.name} on {chips}{network.target.name}: {n_neurons:,} neurons "
                f"on {len(network.cores)} of {chip} neurocores, "
                f"{graph.training.timesteps} timesteps"
            ),
            columns=("layer", "shape", "neurons", "neurocores", "weights"),
            rows=rows,
            notes=(
                f"{len(graph.changes)} lossy steps{f' ({kinds})' if kinds else ''}",
                stops,
            ),
        )
    ]


def _n_cores(network: MappedNetwork, population: str) -> int:
    return sum(
        any(piece.population == population for piece in core.pieces)
        for core in network.cores
    )


def as_text(*tables: Table) -> str:
    """Return tables for a terminal, numbers aligned to the right."""
    lines: list[str] = []
    for table in tables:
        lines.append(table.title)
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
        parts.append(
            f"<p><b>{escape(table.title)}</b></p><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
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

"""Tables as files: Parquet, whose columns carry unit and meaning, and CSV."""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, BoolArray
from snn_deploy.errors import DataError
from snn_deploy.names import cell
from snn_deploy.profile import detail
from snn_deploy.profile.detail import Detail
from snn_deploy.profile.failures import Failed
from snn_deploy.profile.rows import (
    COLUMNS,
    FAILURE,
    GIVEN,
    NO_LABEL,
    ROW,
    Rows,
    type_of,
)

NOTES = b"notes"  # key of a Parquet file's metadata
SCHEMA = Path(__file__).parent / "summary.schema.json"  # of summary.json
BLOCK = 1 << 16  # rows read or written at once


def write_rows(
    rows: Rows,
    path: Path | BytesIO,
    form: str = "parquet",
    notes: dict[str, Any] | None = None,
    failed: Sequence[Failed] = (),
) -> None:
    """Write one row for each input as a file, in blocks.

    Each field of a Parquet file carries its unit and its meaning.

    Parameters
    ----------
    rows : Rows
    path : path, or file in memory
    form : {"parquet", "csv"}
    notes : dict, optional
        Stored in a Parquet file, as JSON.
    failed : sequence of Failed
        Inputs that have no numbers; each has its row, in order.
    """
    schema = _schema()
    if notes is not None:
        schema = schema.with_metadata({NOTES: json.dumps(notes)})
    with _opened(path, schema, form) as writer:
        for start in range(0, len(rows), BLOCK):
            last = rows.column("index")[start : start + BLOCK][-1]
            if start + BLOCK >= len(rows):
                last = np.iinfo(np.int64).max
            here = [input_ for input_ in failed if input_.index <= last]
            failed = failed[len(here) :]
            writer.write_table(_cells(_block(rows, start, here, schema), form))


def table_of(rows: Rows) -> Any:
    """Return the rows as an Arrow table; unknown values are null."""
    import pyarrow as pa

    schema = _schema()
    starts = range(0, len(rows), BLOCK)
    return pa.concat_tables([_block(rows, start, (), schema) for start in starts])


def write_detail(found: Detail, path: Path, form: str = "parquet") -> None:
    """Write one row for each chip timestep and neurocore, as ``write_rows`` does.

    A Parquet file says in its notes of which network, and what the input sent.
    """
    import pyarrow as pa

    types = dict.fromkeys(detail.TEXTS, pa.string())
    types.update(dict.fromkeys(detail.INTEGERS, pa.int64()))
    schema = pa.schema(
        _field(name, types.get(name, pa.float64()), *about)
        for name, about in detail.COLUMNS.items()
    )
    notes = {name: getattr(found, name) for name in detail.NOTED}
    schema = schema.with_metadata({NOTES: json.dumps(notes)})
    with _opened(path, schema, form) as writer:
        writer.write_table(_cells(pa.table(found.columns(), schema=schema), form))


def _cells(table: Any, form: str) -> Any:
    """Return a table; as CSV, with texts that a spreadsheet takes for texts."""
    import pyarrow as pa

    for i, column in enumerate(table.schema if form == "csv" else ()):
        if pa.types.is_string(column.type):
            texts = [t and cell(t) for t in table.column(i).to_pylist()]
            table = table.set_column(i, column, pa.array(texts, column.type))
    return table


def _opened(path: Path | BytesIO, schema: Any, form: str) -> Any:
    from pyarrow import csv, parquet

    writer = {"parquet": parquet.ParquetWriter, "csv": csv.CSVWriter}[form]
    return writer(path, schema)


def read_rows(path: Path) -> Rows:
    """Return the rows that ``write_rows`` wrote to ``path``, but of what failed.

    Raises
    ------
    DataError
        If there is no such file, or it is not a profile, or of an earlier version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path}: no such file; give the folder of a profile")
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(_schema()):
                raise DataError(
                    f"{path}: its columns are not those of this version; run "
                    "snn-deploy profile again"
                )
            n = file.metadata.num_rows
            if n > path.stat().st_size:  # a row takes over a byte
                raise DataError(
                    f"{path}: declares {n} rows, more than it can hold; run snn-deploy "
                    "profile again"
                )
            rows = Rows(n)
            for batch in file.iter_batches(BLOCK):
                has_numbers = batch.filter(batch.column("failure").is_null())
                block = np.zeros(has_numbers.num_rows, ROW)
                for name in COLUMNS:
                    block[name] = _values(has_numbers, name)
                rows.extend(block)
    except (pa.ArrowException, OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise DataError(
            f"{path}: damaged, or no Parquet file ({why}); run snn-deploy profile again"
        ) from error
    return rows


def read_notes(path: Path) -> Any:
    """Return the notes in a file that ``read_rows`` can read; an empty dict if none."""
    import pyarrow.parquet as pq

    return json.loads((pq.read_schema(path).metadata or {}).get(NOTES, b"{}"))


def _values(batch: Any, name: str) -> Any:
    unknown = NO_LABEL if name == "label" else np.nan
    column = batch.column(name)
    if column.null_count:
        column = column.fill_null(unknown)
    return column.to_numpy(zero_copy_only=False)


def _block(rows: Rows, start: int, failed: Sequence[Failed], schema: Any) -> Any:
    """Return some rows, and those of the inputs among them that failed."""
    import pyarrow as pa

    indices = rows.column("index")[start : start + BLOCK]
    places = np.searchsorted(indices, [input_.index for input_ in failed])
    columns = []
    for name in COLUMNS:
        values = rows.column(name)[start : start + BLOCK]
        # not a number is the only one that does not equal itself
        unknown = values == NO_LABEL if name == "label" else values != values
        for input_, place in reversed([*zip(failed, places, strict=True)]):
            given = getattr(input_, name) if name in GIVEN else None
            values = np.insert(values, place, 0 if given is None else given)
            unknown = np.insert(unknown, place, given is None)
        columns.append(_array(values, unknown, schema.field(name).type))
    if failed:
        reasons: list[str | None] = [None] * len(indices)
        for input_, place in reversed([*zip(failed, places, strict=True)]):
            reasons.insert(int(place), input_.reason)
        columns.append(pa.array(reasons, pa.string()))
    else:
        columns.append(pa.nulls(len(indices), pa.string()))
    return pa.table(columns, schema=schema)


def _array(values: AnyArray, unknown: BoolArray, type_: Any) -> Any:
    """Return what ``pa.array`` does, which imports pandas if it is there: slow."""
    import pyarrow as pa

    def bits(flags: AnyArray) -> Any:
        return pa.py_buffer(np.packbits(flags, bitorder="little"))

    given = (
        bits(values)
        if pa.types.is_boolean(type_)
        else pa.py_buffer(np.ascontiguousarray(values))
    )
    return pa.Array.from_buffers(type_, len(values), [bits(~unknown), given])


def _schema() -> Any:
    import pyarrow as pa

    types = {np.bool_: pa.bool_(), np.int64: pa.int64(), np.float64: pa.float64()}
    fields = [
        _field(name, types[type_of(name)], *about) for name, about in COLUMNS.items()
    ]
    fields += [_field(name, pa.string(), *about) for name, about in FAILURE.items()]
    return pa.schema(fields)


def _field(name: str, type_: Any, unit: str, meaning: str) -> Any:
    import pyarrow as pa

    return pa.field(name, type_, metadata={"unit": unit, "meaning": meaning})

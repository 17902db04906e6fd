"""How many spikes each layer sends, from a profile."""

from pathlib import Path
from typing import Any

from snn_deploy.errors import DataError

DETAIL = "detail.parquet"
LAYER, FIRED = "layer", "fire"  # its columns
MOST_ROWS, MOST_BYTES = 10**7, 1 << 30  # a profile of thousands of neurocores has less
BLOCK = 1 << 16  # rows read at once


def saved_spikes(folder: Path) -> dict[str, float]:
    """Return the mean number of spikes of each layer in one input.

    Parameters
    ----------
    folder : Path
        That ``snn-deploy profile`` has written.

    Raises
    ------
    DataError
        If there is no such profile.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / DETAIL
    found: dict[str, float] = {}
    try:
        with pq.ParquetFile(path) as file:
            _check(file)
            for batch in file.iter_batches(BLOCK, columns=[LAYER, FIRED]):
                sums = pa.table(batch).group_by(LAYER).aggregate([(FIRED, "sum")])
                for layer, fired in zip(*sums.to_pydict().values(), strict=True):
                    found[layer] = found.get(layer, 0.0) + (fired or 0.0)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; give the folder that snn-deploy profile --detail "
            "has written"
        ) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: no table of a profile ({error}); profile again"
        ) from None
    return found


def _check(file: Any) -> None:
    """Raise an error unless a file is of moderate size and has our columns."""
    import pyarrow as pa

    about = file.metadata
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    if about.num_rows > MOST_ROWS or size > MOST_BYTES:
        raise ValueError(
            f"{about.num_rows} rows of {size} bytes unpacked, allowed are {MOST_ROWS} "
            f"of {MOST_BYTES}"
        )
    types = {field.name: field.type for field in file.schema_arrow}
    for name, type_ in ((LAYER, pa.string()), (FIRED, pa.float64())):
        if types.get(name) != type_:
            raise ValueError(f"has no {name} of {type_}")

"""How many spikes each layer sends, from a profile."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn_deploy.artifact import sha256_of
from snn_deploy.errors import DataError
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.profile.detail import NOTED
from snn_deploy.profile.tables import NOTES

DETAIL = "detail.parquet"
LAYER, FIRED = "layer", "fire"  # its columns
MOST_ROWS, MOST_BYTES = 10**7, 1 << 30  # a profile of thousands of neurocores has less
BLOCK = 1 << 16  # rows read at once


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The spikes that layers, and the input, send in one input, and whose they are."""

    path: Path
    spikes: Mapping[str, float]  # by layer; those that share a neurocore together
    graph_sha256: str

    def check(self, graph: QuantizedGraph) -> None:
        """Raise a ``DataError`` unless the spikes are those of this network."""
        if sha256_of(graph) != self.graph_sha256:
            raise DataError(
                f"{self.path}: its spikes are those of another network than "
                f"{graph.name} with these integers; give a profile --detail of this "
                "one, compiled for the same target with the same options"
            )


def read_traffic(folder: Path) -> Traffic:
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
            sha256, input_name, input_spikes = _checked(file)
            for batch in file.iter_batches(BLOCK, columns=[LAYER, FIRED]):
                sums = pa.table(batch).group_by(LAYER).aggregate([(FIRED, "sum")])
                for layer, fired in zip(*sums.to_pydict().values(), strict=True):
                    found[layer] = found.get(layer, 0.0) + (fired or 0.0)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; give the folder that snn-deploy profile --detail "
            "has written"
        ) from None
    except (AttributeError, OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: no table of a profile ({error}); profile again"
        ) from None
    spikes = found | {input_name: input_spikes}
    return Traffic(path=path, spikes=spikes, graph_sha256=sha256)


def _checked(file: Any) -> tuple[str, str, float]:
    """Return what ``NOTED`` names, if a file is of moderate size with our columns."""
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
    notes = json.loads((file.schema_arrow.metadata or {}).get(NOTES, b"{}"))
    sha256, name, spikes = (notes.get(noted) for noted in NOTED)
    if not (isinstance(sha256, str) and isinstance(name, str)):
        raise ValueError("does not say of which network it is")
    if not (isinstance(spikes, float) and 0 <= spikes < math.inf):
        raise ValueError(f"{spikes!r} spikes of the input")
    return sha256, name, spikes

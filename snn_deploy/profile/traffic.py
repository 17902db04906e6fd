"""How many spikes each layer sends, from a profile."""

from pathlib import Path

from snn_deploy.errors import DataError

DETAIL = "detail.parquet"


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
    try:
        rows = pq.read_table(path, columns=["layer", "fire"]).to_pydict()
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; give the folder that snn-deploy profile --detail "
            "has written"
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: no table of a profile ({error}); profile again"
        ) from (None)
    found: dict[str, float] = {}
    for layer, fired in zip(rows["layer"], rows["fire"], strict=True):
        found[layer] = found.get(layer, 0.0) + (fired or 0.0)
    return found

"""Read HDF5 files from strangers: nothing beside the file, bounded memory, depth."""

from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.errors import ModelError
from snn_deploy.importers.sandbox.sandbox import read_apart

LIBRARIES = ("h5py",)  # see read_apart
LARGEST_CONTENT = 1 << 31  # bytes of all datasets together
DEEPEST = 16  # groups inside one another
MOST_ITEMS = 100_000
PACKING = 1100  # deflate, the filter in use, makes nothing smaller by more


def read_hdf5(path: Path) -> dict[str, Any]:
    """Return the file at ``path``: groups as dictionaries, datasets as arrays or text.

    HDF5 itself runs in a process of its own, with limits on memory and time.

    A text in an array of one is text. Arrays of several texts are arrays of ``str``.

    Raises
    ------
    ModelError
        If the file is missing, is no HDF5 file or cut short, links to itself or to
        other files, or declares more content than it can hold.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    found: dict[str, Any] = read_apart(parse_hdf5, path)
    return found


def parse_hdf5(path: Path) -> dict[str, Any]:
    """Return what ``read_hdf5`` does, in the process that is there for it."""
    import h5py

    from snn_deploy.importers.sandbox.server import allow_memory

    reader = _Hdf5Content(path)
    allow_memory(3 * reader.limit)
    try:
        with h5py.File(path, "r") as file:
            return reader.group(file, 0)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path}: not an HDF5 file, or cut short ({error}); export it again"
        ) from error


class _Hdf5Content:
    """Walks through one file and adds up what it takes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.limit = min(LARGEST_CONTENT, PACKING * path.stat().st_size)  # bytes
        self.n_items = 0
        self.n_bytes = 0

    def group(self, group: Any, depth: int) -> dict[str, Any]:
        if depth > DEEPEST:
            raise self._refused(group.name, f"over {DEEPEST} groups deep, or in a loop")
        return {name: self._item(group, name, depth) for name in group}

    def _item(self, group: Any, name: str, depth: int) -> Any:
        import h5py

        where = f"{group.name}/{name}"
        self.n_items += 1
        if self.n_items > MOST_ITEMS:
            raise self._refused(where, f"over {MOST_ITEMS} items, or in a loop")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise self._refused(where, "a link to somewhere else")
        item = group[name]
        if isinstance(item, h5py.Group):
            return self.group(item, depth + 1)
        if not isinstance(item, h5py.Dataset):
            raise self._refused(where, "neither a group nor a dataset")
        return self._values(item)

    def _values(self, dataset: Any) -> Any:
        if dataset.external or dataset.is_virtual:
            raise self._refused(dataset.name, "stored in another file")
        if dataset.shape is None or dataset.dtype.kind not in "biufSO":
            raise self._refused(dataset.name, f"values of type {dataset.dtype}")
        self.n_bytes += dataset.nbytes
        if self.n_bytes > self.limit:
            raise self._refused(
                dataset.name,
                f"shape {dataset.shape}, which makes {self.n_bytes} bytes of content; "
                f"a file of this size is read up to {self.limit}",
            )
        values = np.asarray(dataset[()])
        return _texts(values) if values.dtype.kind in "SO" else values

    def _refused(self, where: str, what: str) -> ModelError:
        return ModelError(f"{self.path}: {where}: {what}; export the network again")


def _texts(values: Any) -> Any:
    """Return one text, or an array of several."""
    texts = [
        item.decode() if isinstance(item, bytes) else str(item)
        for item in values.reshape(-1)
    ]
    return texts[0] if values.size == 1 else np.array(texts).reshape(values.shape)

"""Write files whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Writer = Callable[[Path], None]


def write_whole(path: Path, write: Writer) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then give it this name.

    Whatever happens, ``path`` holds its old content or all of the new.

    Raises
    ------
    OSError
        If the folder cannot be written to, or the disk is full. It names ``path``, not
        the temporary file.
    """
    write_together(path.parent, {path.name: write})


def write_together(folder: Path, writers: Mapping[str, Writer]) -> None:
    """Write several files of a folder as ``write_whole`` does: all, or none of them."""
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(folder))
    temporaries: dict[Path, Path] = {}
    try:
        for name, write in writers.items():
            path = folder / name
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
            with _naming(path):
                temporaries[path] = _temporary(path)
                write(temporaries[path])
        for path, temporary in temporaries.items():
            with _naming(path):
                os.replace(temporary, path)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def text_writer(text: str) -> Writer:
    """Return what fills a file with ``text``."""

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return write


def _temporary(path: Path) -> Path:
    """Return a new empty file beside ``path``, with the usual permissions."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    umask = os.umask(0)
    os.umask(umask)
    temporary = Path(name)
    temporary.chmod(0o666 & ~umask)
    return temporary


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors of the system name ``path`` in place of a temporary file."""
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        raise OSError(error.errno, what, str(path)) from error


def packaged_folder(name: str) -> Path:
    """Return a folder that comes with snn-deploy, in the wheel or in the repository."""
    package = Path(__file__).parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name

"""Write a file whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then give it this name.

    Whatever happens, ``path`` holds its old content or all of the new.

    Raises
    ------
    OSError
        If the folder cannot be written to, or the disk is full. It names ``path``, not
        the temporary file.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    try:
        _replace(path, write)
    except OSError as error:
        what = error.strerror or str(error)
        raise OSError(error.errno, what, str(path)) from error


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def packaged_folder(name: str) -> Path:
    """Return a folder that comes with snn-deploy, in the wheel or in the repository."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name

"""Check zip files from strangers before anything in them is unpacked."""

import os
import zipfile
from collections import Counter

KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def check_archive(archive: zipfile.ZipFile, *, may_pack: bool) -> None:
    """Raise an error unless each entry is what a writer of plain data makes.

    Parameters
    ----------
    archive : ZipFile
    may_pack : bool
        Whether entries may be compressed; together they must fit into memory.

    Raises
    ------
    zipfile.BadZipFile
        If two entries have one name or share bytes, a name leads out of the folder, an
        entry is encrypted, or what it declares is more than it can hold.
    """
    import psutil

    entries = archive.infolist()
    _check_names([entry.filename for entry in entries])
    for entry in entries:
        _check_entry(entry, may_pack=may_pack)
    assert archive.fp is not None
    size = os.fstat(archive.fp.fileno()).st_size
    packed = sum(entry.compress_size for entry in entries)
    if packed > size:
        raise zipfile.BadZipFile(f"{packed} bytes of entries in a file of {size}")
    content, free = sum(e.file_size for e in entries), psutil.virtual_memory().available
    if content > max(size, free):
        raise zipfile.BadZipFile(
            f"unpacked it has {content} bytes, the memory {free}: a zip bomb, or too "
            "large"
        )


def _check_names(names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise zipfile.BadZipFile(f"{count} entries are called {name!r}")
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise zipfile.BadZipFile(f"{name!r} leads out of the archive")


def _check_entry(entry: zipfile.ZipInfo, *, may_pack: bool) -> None:
    is_stored = entry.compress_type == zipfile.ZIP_STORED
    if entry.compress_type not in KINDS or not (may_pack or is_stored):
        raise zipfile.BadZipFile(f"{entry.filename!r} is compressed")
    if entry.flag_bits & 1:
        raise zipfile.BadZipFile(f"{entry.filename!r} is encrypted")
    if is_stored and entry.file_size != entry.compress_size:
        raise zipfile.BadZipFile(f"{entry.filename!r} declares two sizes")

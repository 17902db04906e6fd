"""Check files that ``torch.save`` wrote before anything in them is unpickled."""

import pickle
import pickletools
import re
import zipfile
from pathlib import Path

from snn_deploy.files.archives import check_archive

_MAKES_TENSORS = re.compile(
    r"collections OrderedDict|torch \w+Storage|torch\._utils "
    r"_rebuild_(tensor(_v2)?|parameter)"
)


def check_integrity(path: Path) -> None:
    """Raise an error if a checksum is wrong: torch writes them and never looks."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, may_pack=False)
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(damaged)


def check_objects(path: Path) -> None:
    """Raise an error if other things are called for than those that make tensors.

    What ``torch.load`` allows beyond them can fill the memory.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            contents = [archive.read(name) for name in names]
    else:
        contents = []  # of before PyTorch 1.6: several pickles and raw bytes
    for content in contents:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STACK_GLOBAL":
                raise pickle.UnpicklingError("a name that is computed")
            if opcode.name == "GLOBAL" and not _MAKES_TENSORS.fullmatch(str(argument)):
                raise pickle.UnpicklingError(argument)

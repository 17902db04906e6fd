"""Spoil files: bytes, texts, and entries of zips whose checksums are made right."""

import io
import random
import re
import zipfile
from collections.abc import Callable, Iterator

NUMBERS = (0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 40)
TEXTS = (b"-1", b"0", b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"1" * 40)
SMALL = 4096  # bytes of a file that is cut at every byte
N_FLIPS = 1000


def systematic(content: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yield a small file cut at every byte, and with each of 1,000 bits flipped."""
    step = max(1, len(content) // SMALL)
    for end in range(0, len(content), step):
        yield content[:end]
    for _ in range(N_FLIPS):
        yield flipped(content, rng)


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Return the content with one bit flipped."""
    spoilt = bytearray(content)
    spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def spoilt(content: bytes, rng: random.Random) -> bytes:
    """Return the content with a few changes of any kind."""
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        content = rng.choice(CHANGES)(content or b"\0", rng)
    return content


def _number(content: bytes, rng: random.Random) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    number = rng.choice(NUMBERS) & ((1 << 8 * size) - 1)
    at = rng.randrange(len(content))
    order = rng.choice(("little", "big"))
    number_bytes = number.to_bytes(size, "little" if order == "little" else "big")
    return content[:at] + number_bytes + content[at + size :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(content)) for _ in range(2))
    return content[:a] + content[b:]


def _repeated(content: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(content)) for _ in range(2))
    return content[:b] + content[a:b][:1000] + content[b:]


def _other_value(content: bytes, rng: random.Random) -> bytes:
    """Put another value in the place of a number or a text, as in JSON and TOML."""
    found = list(re.finditer(rb'-?\d+(\.\d+)?|"[^"\n]{0,40}"|true|false|null', content))
    if not found:
        return flipped(content, rng)
    match = rng.choice(found)
    values = [*TEXTS, str(rng.choice(NUMBERS)).encode(), rng.choice(found).group()]
    return content[: match.start()] + rng.choice(values) + content[match.end() :]


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped,
    flipped,
    _number,
    _cut,
    _repeated,
    _other_value,
    _other_value,
)


def spoilt_entry(content: bytes, rng: random.Random) -> bytes:
    """Return a zip with one entry spoilt, and its checksum right again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(entries))
    entries[name] = spoilt(entries[name], rng)
    return zipped(entries)


def zipped(entries: dict[str, bytes]) -> bytes:
    """Return a zip of these entries, not compressed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return packed.getvalue()

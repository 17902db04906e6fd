"""Plain values as bytes and back: what a process may hand to one that distrusts it.

Nothing of it can be code: dictionaries, lists, texts, numbers as JSON, and behind it
the arrays of numbers and texts, byte by byte.
"""

import json
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray

ARRAY = "array"  # the one key of what stands for an array
KINDS = "biufSU"  # of arrays: numbers and texts
LENGTH = 8  # bytes that tell how long the JSON is


def pack(value: Any) -> list[bytes | memoryview]:
    """Return ``value`` as pieces of bytes, to be written one after the other."""
    arrays: list[AnyArray] = []
    text = json.dumps(_described(value, arrays)).encode()
    pieces = [array.reshape(-1).view(np.uint8).data for array in arrays]
    return [len(text).to_bytes(LENGTH, "little"), text, *pieces]


def _described(value: Any, arrays: list[AnyArray]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {ARRAY: [value.dtype.str, *value.shape]}
    if isinstance(value, dict):
        items = {str(key): _described(item, arrays) for key, item in value.items()}
        return {"items": items}
    if isinstance(value, list | tuple):
        return [_described(item, arrays) for item in value]
    return value


def unpack(content: bytes) -> Any:
    """Return the value that ``pack`` made bytes of; arrays cannot be written to.

    Raises
    ------
    ValueError
        If the bytes are no such value.
    """
    start = LENGTH + int.from_bytes(content[:LENGTH], "little")
    described = json.loads(content[LENGTH:start])
    return _Unpacker(content, start).value(described)


class _Unpacker:
    def __init__(self, content: bytes, start: int) -> None:
        self.content, self.start = content, start

    def value(self, described: Any) -> Any:
        if isinstance(described, list):
            return [self.value(item) for item in described]
        if not isinstance(described, dict):
            return described
        if ARRAY in described:
            return self._array(*described[ARRAY])
        return {key: self.value(item) for key, item in described["items"].items()}

    def _array(self, name: str, *shape: int) -> AnyArray:
        dtype = np.dtype(name)
        if dtype.kind not in KINDS or min(shape, default=0) < 0:
            raise ValueError(f"an array of {name} in the shape {shape}")
        n = 1
        for size in shape:
            n *= size
        array: AnyArray = np.zeros(shape, dtype)
        if n * dtype.itemsize:
            array = np.frombuffer(self.content, dtype, n, self.start).reshape(shape)
        self.start += n * dtype.itemsize
        return array

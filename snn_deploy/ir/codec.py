"""Data types as JSON and named tensors, and back: the only way into and out of files.

Decoding is driven by the type hints of the data types: nothing but those types can come
out, and each checks its own invariants while it is built. No code is loaded or run.
"""

import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import AnyArray

T = TypeVar("T")
LARGEST_INTEGER = (1 << 63) - 1  # of arrays, and far more than anything has


class CodecError(Exception):
    """The data are not of the form that the type asks for."""


def encode(value: object, tensors: dict[str, AnyArray], path: str = "") -> Any:
    """Return ``value`` as JSON data; its arrays go into ``tensors``, named by path.

    Raises
    ------
    CodecError
        If two arrays would have one name.
    """
    if isinstance(value, np.ndarray):
        if path in tensors:
            raise CodecError(f"{path}: two arrays have this name; rename one")
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [
            encode(item, tensors, f"{path}.{_label(item, i)}")
            for i, item in enumerate(value)
        ]
    if is_dataclass(value):
        data = {
            field.name: encode(
                getattr(value, field.name), tensors, f"{path}.{field.name}".strip(".")
            )
            for field in fields(value)
        }
        return {"type": tag_of(type(value)), **data}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise CodecError(f"{path}: {value} cannot be stored, nor be read again")
    return value


def tag_of(kind: type) -> str:
    """Return what files call a data type: ``TAG``, or the name that it was born with.

    ``tests/ir/test_codec.py`` holds all tags, so that a type that is renamed without
    keeping its old name as its ``TAG`` is found.
    """
    tag: str = vars(kind).get("TAG", kind.__name__)
    return tag


def _label(item: object, index: int) -> str:
    """Return how an item of a tuple is called in a path: its name, if it has one."""
    is_named = is_dataclass(item) and "name" in [field.name for field in fields(item)]
    return str(getattr(item, "name", index)) if is_named else str(index)


def decode(kind: type[T], data: Any, tensors: Mapping[str, AnyArray]) -> T:
    """Return the value of type ``kind`` that was encoded.

    Raises
    ------
    CodecError
        If the data are not of that type. Errors of the type's own checks pass through.
    """
    value: T = _decode(kind, data, tensors, kind.__name__)
    return value


def _decode(hint: Any, data: Any, tensors: Mapping[str, AnyArray], where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(hint), data, tensors, where)
    if origin is tuple:
        return _decode_tuple(get_args(hint), data, tensors, where)
    if origin is np.ndarray or origin is npt.NDArray:  # the latter from NumPy 2.5 on
        return _decode_array(hint, data, tensors, where)
    if isinstance(hint, type) and is_dataclass(hint):
        return _decode_dataclass(hint, data, tensors, where)
    return _decode_plain(hint, data, where)


def _decode_array(
    hint: Any, data: Any, tensors: Mapping[str, AnyArray], where: str
) -> AnyArray:
    name = data.get("tensor") if isinstance(data, dict) else None
    if not isinstance(name, str) or name not in tensors:
        raise CodecError(f"{where}: a tensor is missing")
    array = tensors[name]
    scalar = get_args(hint)[-1]  # NDArray[x] is ndarray[..., dtype[x]] before NumPy 2.5
    scalar = get_args(scalar)[0] if get_origin(scalar) is np.dtype else scalar
    if not np.issubdtype(array.dtype, get_origin(scalar) or scalar):
        raise CodecError(f"{where}: the tensor {name} is of type {array.dtype}")
    return array


def _decode_plain(hint: Any, data: Any, where: str) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        if data in [member.value for member in hint]:
            return hint(data)
        raise CodecError(f"{where}: {data!r} is not of type {hint.__name__}")
    if type(data) is float and not math.isfinite(data):
        raise CodecError(f"{where}: {data} is not finite")
    if type(data) is int and abs(data) > LARGEST_INTEGER:
        raise CodecError(f"{where}: a number over 2**63")
    if hint is float and type(data) is int:
        return float(data)
    if type(data) is hint or (hint is type(None) and data is None):
        return data
    raise CodecError(
        f"{where}: {data!r} is not of type {getattr(hint, '__name__', hint)}"
    )


def _decode_union(
    hints: tuple[Any, ...], data: Any, tensors: Mapping[str, AnyArray], where: str
) -> Any:
    tag = data.get("type") if isinstance(data, dict) else None
    for hint in hints:
        if isinstance(hint, type) and is_dataclass(hint) and tag_of(hint) != tag:
            continue
        try:
            return _decode(hint, data, tensors, where)
        except CodecError:
            if tag is not None:
                raise
    raise CodecError(f"{where}: {data!r} is of no allowed type")


def _decode_tuple(
    hints: tuple[Any, ...], data: Any, tensors: Mapping[str, AnyArray], where: str
) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise CodecError(f"{where}: {data!r} is not a list")
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(data)
    if len(hints) != len(data):
        raise CodecError(f"{where}: {len(data)} items, {len(hints)} are needed")
    return tuple(
        _decode(hint, item, tensors, f"{where}[{i}]")
        for i, (hint, item) in enumerate(zip(hints, data, strict=True))
    )


def _decode_dataclass(
    hint: type, data: Any, tensors: Mapping[str, AnyArray], where: str
) -> Any:
    if not isinstance(data, dict):
        raise CodecError(f"{where}: {data!r} is not of type {hint.__name__}")
    named = [kind for kind in _family(hint) if tag_of(kind) == data.get("type")]
    if not named:
        raise CodecError(
            f"{where}: {data.get('type')!r} is not of type {hint.__name__}"
        )
    kind = named[0]
    hints = _hints(kind)
    _check_names(kind, set(data) - {"type"}, where)
    values = {
        name: _decode(hints[name], data[name], tensors, f"{where}.{name}")
        for name in data
        if name != "type"
    }
    return kind(**values)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _check_names(kind: Any, found: set[str], where: str) -> None:
    """Raise a ``CodecError`` unless ``found`` are the fields of ``kind``.

    A field with a default may be missing: it has come after the file was written.
    """
    names = {field.name for field in fields(kind)}
    missing = {
        field.name
        for field in fields(kind)
        if field.name not in found
        and field.default is MISSING
        and field.default_factory is MISSING
    }
    odd = sorted(missing | (found - names))
    if odd:
        raise CodecError(f"{where}: {kind.__name__} is not made of {', '.join(odd)}")


def _family(kind: type) -> Iterator[type]:
    """Yield a data type and everything derived from it."""
    yield kind
    children: list[type] = kind.__subclasses__()
    for child in children:
        yield from _family(child)

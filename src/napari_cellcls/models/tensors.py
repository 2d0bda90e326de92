"""Named tensors as bytes: a strict reader and writer of the safetensors layout and of ``.npy``.

The reader accepts exactly what an architecture expects and nothing else: every name, type, shape
and byte position is checked against the expectation before an array is made, so a file from a
stranger can neither run code nor ask for memory. Layout of safetensors: 8 bytes little-endian
header length, JSON header, raw little-endian numbers.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_cellcls.vocabulary import ModelError

MAX_HEADER = 4 << 20
_TYPES = {
    "F32": "<f4",
    "F16": "<f2",
    "F64": "<f8",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "|u1",
    "BOOL": "|b1",
}
_NPY_TYPES = ("<f4", "<f2", "<f8", "<i8", "<i4", "<i2", "|u1", "|b1")
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<|][a-z][0-9])', 'fortran_order': False, 'shape': \(([0-9, ]*)\), ?\} *\n"
)
_MAX_AXES, _MAX_DIGITS = 8, 12


def write_tensors(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return tensors in the safetensors layout; the same input gives the same bytes.

    Parameters
    ----------
    tensors : mapping of str to numpy.ndarray
        Written in the order given, C order, little endian.
    metadata : mapping of str to str, optional
        Text kept in the header.
    """
    names = {np.dtype(numpy_name): name for name, numpy_name in _TYPES.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    blocks, position = [], 0
    for name, array in tensors.items():
        kind = names[array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype]
        block = np.ascontiguousarray(array, dtype=_TYPES[kind]).tobytes()
        offsets = [position, position + len(block)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        blocks.append(block)
        position += len(block)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *blocks])


def read_tensors(
    data: bytes,
    spec: Mapping[str, tuple[tuple[int, ...], str]],
    metadata: Mapping[str, str] | None = None,
    *,
    name: str = "weights.safetensors",
) -> dict[str, np.ndarray]:
    """Read tensors that must match ``spec`` exactly.

    Parameters
    ----------
    data : bytes
        A whole file.
    spec : mapping of str to (shape, dtype)
        What the architecture expects.
    metadata : mapping of str to str, optional
        Text the header must hold, no more and no less; None: any text, and it is ignored.
    name : str
        File name for messages.

    Returns
    -------
    dict of str to numpy.ndarray
        In the order of ``spec``, each array its own writable copy.

    Raises
    ------
    ModelError
        ``MODEL-TENSORS`` for anything unexpected, ``MODEL-NAN`` for values that are not finite.
    """
    header, body = _split(data, name)
    found = header.pop("__metadata__", {})
    if metadata is not None and found != dict(metadata):
        raise _bad(name, "the description in its header is not that of this model")
    if set(header) != set(spec):
        missing, extra = sorted(set(spec) - set(header)), sorted(set(header) - set(spec))
        raise _bad(name, f"tensors missing: {missing[:3]}; not expected: {extra[:3]!r:.200}")
    spans = [_span(name, key, header[key], *spec[key]) for key in spec]
    _check_tiling(name, spans, len(body))
    result = {}
    for (key, (shape, kind)), (start, stop) in zip(spec.items(), spans, strict=True):
        stored = np.dtype(kind).newbyteorder("<")
        array = np.frombuffer(body[start:stop], stored).reshape(shape).astype(kind, copy=True)
        check_finite(array, name, key)
        result[key] = array
    return result


def write_npy(array: np.ndarray) -> bytes:
    """Return an array as ``.npy`` version 1.0, C order, little endian."""
    array = np.ascontiguousarray(array)
    kind = array.dtype.newbyteorder("<").str if array.dtype.itemsize > 1 else array.dtype.str
    if kind not in _NPY_TYPES:
        raise ValueError(f"Arrays of dtype {array.dtype} are not stored; use one of {_NPY_TYPES}")
    shape = tuple(int(n) for n in array.shape)
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", len(header))
        + header
        + array.astype(kind).tobytes()
    )


def read_npy(data: bytes, *, name: str) -> np.ndarray:
    """Read a ``.npy`` file of plain numbers without evaluating its header.

    Raises
    ------
    ModelError
        ``MODEL-TENSORS`` when it is not such a file, ``MODEL-NAN`` for values not finite.
    """
    if data[:8] != b"\x93NUMPY\x01\x00" or len(data) < 10:
        raise _bad(name, "it is not a .npy file of version 1.0")
    (length,) = struct.unpack("<H", data[8:10])
    match = _NPY_HEADER.fullmatch(data[10 : 10 + length])
    if match is None or match[1].decode() not in _NPY_TYPES:
        raise _bad(
            name, f"its header is not that of a plain array: {data[10 : 10 + min(length, 80)]!r}"
        )
    numbers = match[2].replace(b",", b" ").split()
    if len(numbers) > _MAX_AXES or any(len(n) > _MAX_DIGITS for n in numbers):
        raise _bad(name, f"its shape is not plausible: {match[2][:80]!r}")
    shape = tuple(int(n) for n in numbers)
    kind = np.dtype(match[1].decode())
    need, have = math.prod(shape) * kind.itemsize, len(data) - 10 - length
    if need != have:
        raise _bad(name, f"its shape {shape} needs {need} bytes, the file holds {have}")
    array = np.frombuffer(data, kind, offset=10 + length).reshape(shape)
    array = array.astype(kind.newbyteorder("="), copy=True)
    check_finite(array, name, "its array")
    return array


def check_finite(array: np.ndarray, name: str, key: str) -> None:
    """Raise ``MODEL-NAN`` when a float array holds NaN or infinity."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelError(
            "The model holds numbers that are not finite",
            code="MODEL-NAN",
            why=f"{key} in {name} has {int((~np.isfinite(array)).sum())} NaN or infinite values.",
            remedy="The training of this model went wrong; ask its author for another version.",
        )


def _split(data: bytes, name: str) -> tuple[dict[str, Any], memoryview]:
    if len(data) < 8:
        raise _bad(name, f"it has {len(data)} bytes")
    (length,) = struct.unpack("<Q", data[:8])
    if not 2 <= length <= min(MAX_HEADER, len(data) - 8):
        raise _bad(name, f"its header claims {length} bytes in a file of {len(data)}")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise _bad(name, f"its header is not valid: {error!s:.120}") from None
    if not isinstance(header, dict):
        raise _bad(name, "its header is not an object")
    return header, memoryview(data)[8 + length :]


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict for ``json.loads``, refusing a key given twice (two readers would differ)."""
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"key {twice!r:.80} is given twice")
    return result


def _span(name: str, key: str, entry: Any, shape: tuple[int, ...], kind: str) -> tuple[int, int]:
    """Check one header entry and return its byte range."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _bad(name, f"the entry of {key} is malformed")
    stored = entry["dtype"]
    if not isinstance(stored, str) or np.dtype(_TYPES.get(stored, "V1")) != np.dtype(kind):
        raise _bad(name, f"{key} has type {stored!r:.40}, expected {kind}")
    sizes = entry["shape"]
    if not _integers(sizes) or sizes != list(shape):
        raise _bad(name, f"{key} has shape {sizes!r:.80}, expected {list(shape)}")
    offsets = entry["data_offsets"]
    need = math.prod(shape) * np.dtype(kind).itemsize
    if (
        not _integers(offsets)
        or len(offsets) != 2
        or offsets[0] < 0
        or offsets[1] - offsets[0] != need
    ):
        raise _bad(name, f"{key} lies at {offsets!r:.80}, which is not {need} bytes")
    return offsets[0], offsets[1]


def _integers(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int for v in value)


def _check_tiling(name: str, spans: list[tuple[int, int]], size: int) -> None:
    position = 0
    for start, stop in sorted(spans):
        if start != position:
            raise _bad(name, f"its tensors leave a gap or overlap at byte {min(start, position)}")
        position = stop
    if position != size:
        raise _bad(name, f"its tensors end at byte {position}, the data at {size}")


def _bad(name: str, why: str) -> ModelError:
    return ModelError(
        f"The file {name} of the model is damaged or not what it should be",
        code="MODEL-TENSORS",
        why=f"{why}.",
        remedy="Get the package again from its author.",
    )

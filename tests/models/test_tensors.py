from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellcls.models.tensors import read_npy, read_tensors, write_npy, write_tensors
from napari_cellcls.vocabulary import ModelError

SPEC = {"0000:a/kernel": ((2, 3), "float32"), "0001:b/bias": ((4,), "float32")}
META = {"architecture": "x", "params": "{}"}
GOOD = {
    "0000:a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0001:b/bias": np.array([1, -2, 3, 4], np.float32),
}


def header_and_body() -> tuple[dict, bytes]:
    data = write_tensors(GOOD, META)
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: object, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def changed(key: str, field: str, value: object) -> bytes:
    header, body = header_and_body()
    header[key][field] = value
    return join(header, body)


def without(key: str) -> bytes:
    header, body = header_and_body()
    del header[key]
    return join(header, body)


def extra() -> bytes:
    header, body = header_and_body()
    header["evil"] = {"dtype": "F32", "shape": [0], "data_offsets": [40, 40]}
    return join(header, body)


def twice() -> bytes:
    header, body = header_and_body()
    text = json.dumps(header)[:-1] + ', "0001:b/bias": ' + json.dumps(header["0001:b/bias"]) + "}"
    return join(text.encode(), body)


def not_finite(value: float) -> bytes:
    arrays = {**GOOD, "0001:b/bias": np.array([1, value, 3, 4], np.float32)}
    return write_tensors(arrays, META)


A, B = "0000:a/kernel", "0001:b/bias"
HOSTILE = {
    "empty": (b"", "it has 0 bytes"),
    "seven bytes": (b"1234567", "it has 7 bytes"),
    "header longer than the file": (struct.pack("<Q", 1 << 40) + b"{}", "its header claims"),
    "header of one byte": (struct.pack("<Q", 1) + b"{}", "its header claims 1 bytes"),
    "header over the cap": (struct.pack("<Q", 5 << 20) + b" " * (5 << 20), "its header claims"),
    "header not JSON": (join(b"{nope}", b""), "its header is not valid"),
    "header not UTF-8": (join(b"\xff\xfe{}", b""), "its header is not valid"),
    "header a list": (join([], b""), "its header is not an object"),
    "header too deep": (join(b"[" * 100_000, b""), "its header is not valid"),
    "key twice": (twice(), "is given twice"),
    "tensor missing": (without(B), "tensors missing: ['0001:b/bias']"),
    "tensor not expected": (extra(), "not expected: ['evil']"),
    "entry not an object": (
        join({**header_and_body()[0], B: 3}, header_and_body()[1]),
        "malformed",
    ),
    "entry with more keys": (changed(B, "code", "x"), "malformed"),
    "wrong type": (changed(B, "dtype", "F64"), "has type 'F64', expected float32"),
    "unknown type": (changed(B, "dtype", "PY"), "has type 'PY'"),
    "type not text": (changed(B, "dtype", ["F32"]), "has type"),
    "wrong shape": (changed(A, "shape", [3, 2]), "has shape [3, 2], expected [2, 3]"),
    "huge shape": (changed(A, "shape", [1 << 40, 3]), "has shape"),
    "shape of bools": (changed(B, "shape", [True]), "has shape"),
    "shape of floats": (changed(B, "shape", [4.0]), "has shape"),
    "negative offset": (changed(A, "data_offsets", [-24, 0]), "which is not 24 bytes"),
    "offset past the end": (
        changed(B, "data_offsets", [1 << 50, (1 << 50) + 16]),
        "gap or overlap",
    ),
    "offsets reversed": (changed(A, "data_offsets", [24, 0]), "which is not 24 bytes"),
    "overlap": (changed(B, "data_offsets", [8, 24]), "gap or overlap at byte 8"),
    "gap": (join(header_and_body()[0], b""), "its tensors end at byte 40, the data at 0"),
    "tail": (write_tensors(GOOD, META) + b"tail", "its tensors end at byte 40, the data at 44"),
    "cut": (write_tensors(GOOD, META)[:-1], "the data at 39"),
    "other network": (
        write_tensors(GOOD, {**META, "params": '{"size":64}'}),
        "not that of this model",
    ),
    "no description": (write_tensors(GOOD), "not that of this model"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tensors_are_refused(case):
    data, why = HOSTILE[case]
    with pytest.raises(ModelError) as caught:
        read_tensors(data, SPEC, META)
    assert caught.value.code == "MODEL-TENSORS"
    assert why in caught.value.why
    assert "weights.safetensors" in caught.value.what


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_not_finite_are_refused(value):
    with pytest.raises(ModelError, match="not finite") as caught:
        read_tensors(not_finite(value), SPEC, META)
    assert caught.value.code == "MODEL-NAN"
    assert caught.value.why == "0001:b/bias in weights.safetensors has 1 NaN or infinite values."


def test_round_trip_is_exact_and_writable():
    back = read_tensors(write_tensors(GOOD, META), SPEC, META)
    assert list(back) == list(SPEC)
    for name, array in GOOD.items():
        assert back[name].dtype == np.float32
        np.testing.assert_array_equal(back[name], array)
        back[name][:] = 0


def test_the_safetensors_package_reads_and_writes_the_same():
    from safetensors.numpy import load, save

    for name, array in load(write_tensors(GOOD, META)).items():
        np.testing.assert_array_equal(array, GOOD[name])
    back = read_tensors(save(GOOD, META), SPEC, META)
    np.testing.assert_array_equal(back[A], GOOD[A])


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte_never_gives_other_shapes(position, value):
    data = bytearray(write_tensors(GOOD, META))
    data[position % len(data)] = value
    try:
        back = read_tensors(bytes(data), SPEC, META)
    except ModelError as error:
        assert error.code in ("MODEL-TENSORS", "MODEL-NAN")
    else:
        assert {k: (v.shape, v.dtype.name) for k, v in back.items()} == SPEC


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float16, np.int64, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_npy_is_what_numpy_reads_and_writes(array):
    ours = write_npy(array)
    np.testing.assert_array_equal(np.load(io.BytesIO(ours), allow_pickle=False), array)
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    for data in (ours, buffer.getvalue()):
        back = read_npy(data, name="x.npy")
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


BAD_NPY = {
    "empty": (b"", "not a .npy file"),
    "version 2": (b"\x93NUMPY\x02\x00aa", "not a .npy file"),
    "objects": (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"), "plain array"),
    "code": (npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }"), "plain array"),
    "fields": (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), "plain array"),
    "big endian": (npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", b"1234"), "plain"),
    "column order": (npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", b"1234"), "plain"),
    "complex": (npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", b"12345678"), "plain"),
    "bomb": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }"), "needs"),
    "many digits": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 99 + ",), }"), "plausible"),
    "many axes": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 40 + "), }"), "plausible"),
    "negative": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "plain array"),
    "tail": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", b"12345"), "needs 4 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_NPY)
def test_hostile_npy_is_refused(case):
    data, why = BAD_NPY[case]
    with pytest.raises(ModelError) as caught:
        read_npy(data, name="test_input.npy")
    assert caught.value.code == "MODEL-TENSORS"
    assert why in caught.value.why


def test_npy_of_text_is_not_written():
    with pytest.raises(ValueError, match="are not stored"):
        write_npy(np.array(["a"]))

"""The model package (``.cellpkg``): read with every check, write with the same bytes every time.

Reading builds nothing and runs nothing: numbers and texts are checked against what our own registry
says the architecture needs. Only ``package.json``, the tensors and the test arrays are opened; the
description files for other programs are hashed and left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls import files
from napari_cellcls.cells.descriptor import size_of
from napari_cellcls.models import describe, networks
from napari_cellcls.models.archive import Archive, write_archive
from napari_cellcls.models.manifest import MAX_MANIFEST, FileEntry, Manifest, parse
from napari_cellcls.models.tensors import (
    MAX_HEADER,
    check_finite,
    read_npy,
    read_tensors,
    write_npy,
    write_tensors,
)
from napari_cellcls.vocabulary import ModelError

SUFFIX = ".cellpkg"
MANIFEST = "package.json"
WEIGHTS = "weights.safetensors"
HEAD = "head.safetensors"
REFERENCE = "reference.npz"
TEST_INPUT, TEST_OUTPUT = "test_input.npy", "test_output.npy"
ONNX = "model.onnx"
_REQUIRED = {WEIGHTS, TEST_INPUT, TEST_OUTPUT}
# Only for readers of bioimage.io; this program never opens them.
_DESCRIPTIONS = {"rdf.yaml", "README.md", "cover.png", ONNX}
_KNOWN = _REQUIRED | {HEAD, REFERENCE} | _DESCRIPTIONS
MAX_PACKAGE = 600 << 20
_MAX_SMALL = 64 << 20

Head = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ModelPackage:
    """A model whose every part has been checked.

    Attributes
    ----------
    manifest : Manifest
    weights : dict of str to numpy.ndarray
        Network tensors named ``0007:<layer>/<variable>``, float32.
    head : tuple of numpy.ndarray or None
        ``kernel (D, K)`` and ``bias (K,)`` float32; None for a backbone without classes. D counts
        the embeddings of all passes and, where the manifest says so, the measured numbers.
    reference : dict of str to numpy.ndarray or None
        Class exemplars for fine-tuning and for noticing foreign images.
    test_input, test_output : numpy.ndarray
        ``(N, Y, X, C)`` in 0..1 and the embeddings ``(N, E)`` that every engine must give for it.
    sha256 : str
        Hash of the package file.
    path : Path or None
    """

    manifest: Manifest
    weights: dict[str, np.ndarray] = field(repr=False)
    head: Head | None = field(repr=False)
    reference: dict[str, np.ndarray] | None = field(repr=False)
    test_input: np.ndarray = field(repr=False)
    test_output: np.ndarray = field(repr=False)
    sha256: str = ""
    path: Path | None = None

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights file, which also names the architecture: the key of derived files."""
        return self.manifest.files[WEIGHTS].sha256

    @property
    def embedding_size(self) -> int:
        """Length of the embedding of one pass through the network."""
        return int(self.test_output.shape[1])

    @property
    def described_size(self) -> int:
        """Length of the embedding of a cell, all passes together; that of one when inputs are open."""
        return self.embedding_size * self.manifest.passes

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(Y, X, C)`` of one network input."""
        _, y, x, channels = self.test_input.shape
        return y, x, channels


def read_package(path: str | os.PathLike[str]) -> ModelPackage:
    """Read and check a package.

    Raises
    ------
    ModelError
        ``MODEL-MISSING`` (no such file), ``MODEL-ARCHIVE`` (zip), ``MODEL-MANIFEST``,
        ``MODEL-NEWER``, ``MODEL-PARAMS``, ``MODEL-FILES`` (members missing or not listed),
        ``MODEL-HASH`` (changed after writing), ``MODEL-TENSORS``, ``MODEL-NAN``.
    """
    path = Path(path)
    try:
        return _read(_load(path), path)
    except ModelError as error:
        if error.path is not None:
            raise
        raise ModelError(
            error.what, code=error.code, path=path, why=error.why, remedy=error.remedy
        ) from None


def write_package(
    path: str | os.PathLike[str],
    manifest: Manifest,
    weights: Mapping[str, np.ndarray],
    *,
    test_input: np.ndarray,
    test_output: np.ndarray,
    head: Head | None = None,
    reference: Mapping[str, np.ndarray] | None = None,
    onnx: bytes | None = None,
    same_weights: bool = False,
) -> ModelPackage:
    """Write a package atomically, after reading it back with every check.

    Parameters
    ----------
    path : path-like
        Target, ending in ``.cellpkg``.
    manifest : Manifest
        ``files`` is filled here.
    weights : mapping
        Tensors named as :func:`networks.weight_spec` says.
    test_input, test_output : numpy.ndarray
        Crops ``(N, Y, X, C)`` in 0..1 and the embeddings ``(N, E)`` of Keras for them, float32.
    head : tuple of numpy.ndarray, optional
        ``kernel (E, K)``, ``bias (K,)``.
    reference : mapping, optional
        Arrays of plain numbers.
    onnx : bytes, optional
        The network for bioimage.io readers; this program never opens it.
    same_weights : bool
        The weights, and the network's parameters in the manifest, are those of another package:
        parameters are not completed, so that their hash stays and with it all that is kept by it.

    Returns
    -------
    ModelPackage
        As read back from the file.
    """
    ref = manifest.architecture
    params = ref.params if same_weights else networks.full_params(ref.id, ref.params)
    members: dict[str, bytes] = {
        WEIGHTS: write_tensors(_float32(weights), weights_metadata(ref.id, params)),
        TEST_INPUT: write_npy(np.asarray(test_input, np.float32)),
        TEST_OUTPUT: write_npy(np.asarray(test_output, np.float32)),
    }
    if head is not None:
        members[HEAD] = write_tensors(_float32({"kernel": head[0], "bias": head[1]}))
    if reference is not None:
        members[REFERENCE] = write_archive({f"{k}.npy": write_npy(v) for k, v in reference.items()})
    if onnx is not None:
        members[ONNX] = onnx
    manifest = manifest.model_copy(
        update={"architecture": ref.model_copy(update={"params": params}), "files": {}}
    )
    members |= describe.files_for_bioimageio(manifest, members, test_input, test_output)
    entries = {
        name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for name, content in sorted(members.items())
    }
    manifest = manifest.model_copy(update={"files": entries})
    data = write_archive({MANIFEST: manifest.to_json(), **members})
    target = Path(path)
    package = _read(data, target)
    files.write_bytes(target, data)
    return package


def weights_metadata(arch_id: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the header text of a weights file.

    It names the network, so that equal numbers in two different networks have different hashes and
    a derived file (ONNX) is never used for the wrong one.
    """
    text = json.dumps(dict(params), sort_keys=True, separators=(",", ":"))
    return {"architecture": arch_id, "params": text}


def _load(path: Path) -> bytes:
    if not path.is_file():
        raise ModelError(
            "There is no model package here",
            code="MODEL-MISSING",
            path=path,
            why="it is a folder." if path.is_dir() else "the file does not exist.",
            remedy="Check the path; `cellcls models list` shows the models by name.",
        )
    size = path.stat().st_size
    if size > MAX_PACKAGE:
        raise _files_error(f"it has {size:,} bytes, at most {MAX_PACKAGE:,} are allowed")
    return path.read_bytes()


def _read(data: bytes, path: Path) -> ModelPackage:
    archive = Archive(data, path)
    if MANIFEST not in archive.names:
        raise _files_error(f"{MANIFEST} is missing")
    manifest = parse(archive.read(MANIFEST, MAX_MANIFEST))
    _check_members(manifest, set(archive.names))
    spec = networks.weight_spec(manifest.architecture.id, manifest.architecture.params)
    limits = {WEIGHTS: 8 + MAX_HEADER + sum(4 * int(np.prod(shape)) for shape, _ in spec.values())}
    members = {
        name: _checked(archive, name, entry, limits.get(name, _MAX_SMALL))
        for name, entry in manifest.files.items()
    }
    ref = manifest.architecture
    test_input, test_output = _test_arrays(manifest, members)
    return ModelPackage(
        manifest=manifest,
        # With the parameters as written: an architecture may have got a new one since.
        weights=read_tensors(members[WEIGHTS], spec, weights_metadata(ref.id, ref.params)),
        head=_head(manifest, members),
        reference=_reference(manifest, members, path),
        test_input=test_input,
        test_output=test_output,
        sha256=hashlib.sha256(data).hexdigest(),
        path=path,
    )


def _check_members(manifest: Manifest, names: set[str]) -> None:
    listed = set(manifest.files)
    required = _REQUIRED | ({HEAD} if manifest.classes else set())
    if missing := sorted((listed | required) - (names & (listed | {MANIFEST}))):
        raise _files_error(f"missing: {', '.join(missing)[:200]}")
    if extra := sorted((names - listed - {MANIFEST}) | (listed - _KNOWN)):
        raise _files_error(f"not part of a model package: {', '.join(extra)[:200]}")
    if HEAD in listed and not manifest.classes:
        raise _files_error("it has a head but no classes")


def _checked(archive: Archive, name: str, entry: FileEntry, limit: int) -> bytes:
    if entry.bytes > (limit if name != ONNX else MAX_PACKAGE):
        raise _files_error(f"{name} claims {entry.bytes:,} bytes, at most {limit:,} are needed")
    content = archive.read(name, entry.bytes)
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ModelError(
            "A file of the model changed after the package was written",
            code="MODEL-HASH",
            why=f"{name} does not have the SHA-256 that package.json states.",
            remedy="Get the package again from its author.",
        )
    return content


def _test_arrays(manifest: Manifest, members: Mapping[str, bytes]) -> tuple[np.ndarray, np.ndarray]:
    ref = manifest.architecture
    crops = read_npy(members[TEST_INPUT], name=TEST_INPUT)
    embeddings = read_npy(members[TEST_OUTPUT], name=TEST_OUTPUT)
    shape = networks.input_shape(ref.id, ref.params)
    size = networks.embedding_size(ref.id, ref.params)
    rows = len(crops) if crops.ndim else 0
    if crops.shape != (rows, *shape) or embeddings.shape != (rows, size) or not 1 <= rows <= 64:
        raise _files_error(
            f"the test arrays are {crops.shape} and {embeddings.shape}, "
            f"expected (n, {shape}) and (n, {size}) with n from 1 to 64"
        )
    if crops.dtype != np.float32 or embeddings.dtype != np.float32:
        raise _files_error(f"the test arrays are {crops.dtype} and {embeddings.dtype}, not float32")
    return crops, embeddings


def _head(manifest: Manifest, members: Mapping[str, bytes]) -> Head | None:
    if HEAD not in members:
        return None
    size = _descriptor_size(manifest)
    count = len(manifest.classes)
    spec = {"kernel": ((size, count), "float32"), "bias": ((count,), "float32")}
    head = read_tensors(members[HEAD], spec, name=HEAD)
    return head["kernel"], head["bias"]


def _descriptor_size(manifest: Manifest) -> int:
    ref = manifest.architecture
    size = networks.embedding_size(ref.id, ref.params) * manifest.passes
    return size + (size_of(len(manifest.inputs)) if manifest.descriptor != "embedding" else 0)


def _reference(
    manifest: Manifest, members: Mapping[str, bytes], path: Path
) -> dict[str, np.ndarray] | None:
    if REFERENCE not in members:
        return None
    archive = Archive(members[REFERENCE], path)
    if any(not name.endswith(".npy") for name in archive.names):
        raise _files_error(f"{REFERENCE} holds something that is not an array")
    arrays, left = {}, _MAX_SMALL
    for name in archive.names:
        content = archive.read(name, left)
        left -= len(content)
        arrays[name.removesuffix(".npy")] = read_npy(content, name=f"{REFERENCE}/{name}")
    _check_exemplars(manifest, arrays)
    return arrays


def _check_exemplars(manifest: Manifest, arrays: Mapping[str, np.ndarray]) -> None:
    found = arrays.get("embeddings")
    if found is None:
        return
    size = _descriptor_size(manifest)
    fits = found.ndim == 2 and (found.shape[1] == size or not manifest.inputs)
    if not fits or found.dtype.kind != "f":
        raise _files_error(
            f"its exemplars are {found.shape} {found.dtype}, expected (n, {size}) real numbers"
        )


def _float32(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    result = {name: np.asarray(array, np.float32) for name, array in tensors.items()}
    for name, array in result.items():
        check_finite(array, "the new package", name)
    return result


def _files_error(why: str) -> ModelError:
    return ModelError(
        "The model package does not hold the files it should",
        code="MODEL-FILES",
        why=f"{why}.",
        remedy="Get the package again, or ask its author for a corrected one.",
    )

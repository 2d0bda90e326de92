from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from napari_cellcls.models import package as pkg
from napari_cellcls.models.archive import write_archive
from napari_cellcls.models.package import read_package, write_package
from napari_cellcls.models.tensors import write_tensors
from napari_cellcls.vocabulary import ModelError
from tests.models import make


def members(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repack(path, change) -> None:
    """Rewrite a package after ``change(members, manifest)``, hashes made to fit again."""
    files = members(path)
    manifest = json.loads(files.pop("package.json"))
    change(files, manifest)
    for name in manifest["files"]:
        if name in files:
            digest = hashlib.sha256(files[name]).hexdigest()
            manifest["files"][name] = {"sha256": digest, "bytes": len(files[name])}
    path.write_bytes(write_archive({"package.json": json.dumps(manifest).encode(), **files}))


@pytest.fixture
def path(tmp_path):
    make.package(
        tmp_path / "small.cellpkg", reference={"labels": np.arange(3), "embeddings": np.eye(3, 16)}
    )
    return tmp_path / "small.cellpkg"


def refused(path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read_package(path)
    assert caught.value.path == str(path)
    return caught.value


def test_round_trip(tmp_path):
    made = make.manifest(temperature=1.7, thresholds=[0.3, 0.7])
    given = make.parts(made)
    weights = given.pop("weights")
    reference = {"labels": np.array([0, 1]), "embeddings": np.ones((2, 16), np.float16)}
    written = write_package(tmp_path / "m.cellpkg", made, weights, reference=reference, **given)
    back = read_package(tmp_path / "m.cellpkg")
    assert (
        back.sha256
        == written.sha256
        == hashlib.sha256((tmp_path / "m.cellpkg").read_bytes()).hexdigest()
    )
    assert back.manifest == written.manifest
    assert back.manifest.temperature == 1.7
    assert back.manifest.thresholds == (0.3, 0.7)
    for name, array in weights.items():
        np.testing.assert_array_equal(back.weights[name], array)
    assert back.head is not None
    np.testing.assert_array_equal(back.head[0], given["head"][0].astype(np.float32))
    assert back.reference is not None
    assert back.reference["embeddings"].dtype == np.float16
    np.testing.assert_array_equal(back.reference["labels"], [0, 1])
    assert back.embedding_size == 16
    assert back.input_shape == (24, 24, 3)


def test_same_model_same_bytes(tmp_path):
    make.package(tmp_path / "a.cellpkg")
    make.package(tmp_path / "b.cellpkg")
    assert (tmp_path / "a.cellpkg").read_bytes() == (tmp_path / "b.cellpkg").read_bytes()


def test_the_hash_of_the_weights_names_the_network_too(tmp_path):
    # cell_resnet has the same tensors at every input size.
    other = {"id": "cell_resnet", "params": {**make.SMALL, "size": 32}}
    one = make.package(tmp_path / "a.cellpkg")
    two = make.package(tmp_path / "b.cellpkg", architecture=other)
    np.testing.assert_array_equal(
        one.weights["0000:stem_conv/kernel"], two.weights["0000:stem_conv/kernel"]
    )
    assert one.weights_sha256 != two.weights_sha256


def test_missing_file_and_folder(tmp_path):
    assert refused(tmp_path / "none.cellpkg").code == "MODEL-MISSING"
    (tmp_path / "folder.cellpkg").mkdir()
    assert refused(tmp_path / "folder.cellpkg").why == "it is a folder."


def test_too_large(path, monkeypatch):
    monkeypatch.setattr(pkg, "MAX_PACKAGE", 100)
    error = refused(path)
    assert error.code == "MODEL-FILES"
    assert "at most 100 are allowed" in error.why


def test_not_an_archive(tmp_path):
    (tmp_path / "x.cellpkg").write_bytes(b"not a zip")
    assert refused(tmp_path / "x.cellpkg").code == "MODEL-ARCHIVE"


def test_no_manifest(tmp_path):
    (tmp_path / "x.cellpkg").write_bytes(write_archive({"weights.safetensors": b""}))
    assert refused(tmp_path / "x.cellpkg").why == "package.json is missing."


def test_changed_member(path):
    files = members(path)
    files["README.md"] += b"!"
    path.write_bytes(write_archive(files))
    error = refused(path)
    assert error.code == "MODEL-ARCHIVE"
    files["README.md"] = b"?" * (len(files["README.md"]) - 1)
    path.write_bytes(write_archive(files))
    error = refused(path)
    assert error.code == "MODEL-HASH"
    assert "README.md does not have the SHA-256" in error.why


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "head.safetensors", "test_input.npy", "README.md"]
)
def test_missing_member(path, name):
    repack(path, lambda files, manifest: files.pop(name))
    error = refused(path)
    assert error.code == "MODEL-FILES"
    assert error.why == f"missing: {name}."


def test_member_not_listed(path):
    repack(path, lambda files, manifest: files.update({"setup.py": b"import os"}))
    assert refused(path).why == "not part of a model package: setup.py."


def test_member_listed_but_not_known(path):
    def change(files, manifest):
        files["setup.py"] = b"import os"
        manifest["files"]["setup.py"] = {"sha256": "0" * 64, "bytes": 9}

    repack(path, change)
    assert refused(path).why == "not part of a model package: setup.py."


def test_weights_larger_than_the_network(path):
    def change(files, manifest):
        files["weights.safetensors"] += b"\0" * (5 << 20)

    repack(path, change)
    error = refused(path)
    assert error.code == "MODEL-FILES"
    assert "weights.safetensors claims" in error.why


def test_weights_of_another_network(path, tmp_path):
    make.package(
        tmp_path / "other.cellpkg",
        architecture={"id": "cell_resnet", "params": {**make.SMALL, "size": 32}},
    )
    other = members(tmp_path / "other.cellpkg")["weights.safetensors"]
    repack(path, lambda files, manifest: files.update({"weights.safetensors": other}))
    error = refused(path)
    assert error.code == "MODEL-TENSORS"
    assert "not that of this model" in error.why


def test_written_before_the_architecture_had_a_parameter(path):
    whole = read_package(path)

    def older(files, manifest):
        params = manifest["architecture"]["params"]
        del params["channels"]
        header = pkg.weights_metadata("cell_resnet", params)
        files["weights.safetensors"] = write_tensors(whole.weights, header)

    repack(path, older)
    again = read_package(path)
    assert "channels" not in again.manifest.architecture.params
    np.testing.assert_array_equal(
        again.weights["0000:stem_conv/kernel"], whole.weights["0000:stem_conv/kernel"]
    )


def test_unknown_architecture_needs_a_newer_version(path):
    repack(path, lambda files, manifest: manifest["architecture"].update(id="vit"))
    assert refused(path).code == "MODEL-NEWER"


def test_newer_schema(path):
    repack(path, lambda files, manifest: manifest.update(schema="cellpkg/2"))
    error = refused(path)
    assert error.code == "MODEL-NEWER"
    assert error.why == "its format is cellpkg/2; this version reads cellpkg/1."


def test_parameters_out_of_bounds(path):
    repack(path, lambda files, manifest: manifest["architecture"]["params"].update(width=10**9))
    assert refused(path).code == "MODEL-PARAMS"


def test_nan_is_neither_written_nor_read(path, tmp_path):
    given = make.parts(make.manifest())
    weights = given.pop("weights")
    weights["0000:stem_conv/kernel"][0] = np.nan
    with pytest.raises(ModelError, match="MODEL-NAN"):
        write_package(tmp_path / "nan.cellpkg", make.manifest(), weights, **given)
    assert not (tmp_path / "nan.cellpkg").exists()

    def change(files, manifest):
        body = files["weights.safetensors"]
        files["weights.safetensors"] = body[:-4] + np.array(np.nan, "<f4").tobytes()

    repack(path, change)
    assert refused(path).code == "MODEL-NAN"


def test_test_arrays_must_fit(path, tmp_path):
    given = make.parts(make.manifest())
    given["test_output"] = given["test_output"][:, :3]
    with pytest.raises(ModelError, match=r"the test arrays are \(2, 24, 24, 3\) and \(2, 3\)"):
        write_package(tmp_path / "x.cellpkg", make.manifest(), given.pop("weights"), **given)
    assert list(tmp_path.glob("*")) == [path]


def test_reference_is_strict(path):
    def change(files, manifest):
        files["reference.npz"] = write_archive({"labels.pkl": b"cos\nsystem\n"})

    repack(path, change)
    assert refused(path).why == "reference.npz holds something that is not an array."


def test_reference_bomb(path, monkeypatch):
    monkeypatch.setattr(pkg, "_MAX_SMALL", 200)
    limits = dict.fromkeys(pkg._KNOWN, 1 << 20)
    monkeypatch.setattr(
        pkg, "_checked", lambda archive, name, entry, limit: archive.read(name, limits[name])
    )
    error = refused(path)
    assert error.code == "MODEL-ARCHIVE"
    assert "unpacks to more than its" in error.why


AUDIT = """
import sys
from napari_cellcls.models import package
package.read_package(sys.argv[1])                      # imports what reading needs
seen, watching = [], True
def hook(event, arguments):
    quiet = not watching or event in ("object.__getattr__", "object.__setattr__", "sys._getframe")
    if not quiet: seen.append((event, str(arguments[:1])[:80]))
sys.addaudithook(hook)
for path in sys.argv[1:]:
    try:
        package.read_package(path)
    except package.ModelError:
        pass
watching = False
print(sorted({event for event, _ in seen}))
"""


def test_reading_runs_and_imports_nothing(path, tmp_path):
    hostile = tmp_path / "hostile.cellpkg"
    hostile.write_bytes(path.read_bytes())

    def change(files, manifest):
        files["test_input.npy"] = files["test_input.npy"].replace(b"'<f4'", b"open('x')")

    repack(hostile, change)
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, str(path), str(hostile)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "['open']"


def test_model_onnx_is_carried_and_never_opened(tmp_path):
    given = make.parts(make.manifest())
    write_package(
        tmp_path / "m.cellpkg",
        make.manifest(),
        given.pop("weights"),
        onnx=b"not onnx at all",
        **given,
    )
    assert "model.onnx" in read_package(tmp_path / "m.cellpkg").manifest.files


def test_exemplars_have_the_size_of_what_the_head_takes(tmp_path):
    reference = {"embeddings": np.ones((3, 15), np.float32), "labels": np.arange(3)}
    with pytest.raises(ModelError, match=r"exemplars are \(3, 15\) float32, expected \(n, 16\)"):
        make.package(tmp_path / "m.cellpkg", reference=reference)


def test_a_head_over_measured_numbers_too(tmp_path):
    package = make.package(tmp_path / "m.cellpkg", descriptor="embedding+cell/1", level="tuned")
    assert package.head is not None and package.head[0].shape == (16 + 10 + 7 * 3, 2)
    assert package.described_size == 16
    with pytest.raises(ModelError, match="MODEL-TENSORS"):
        given = make.parts(package.manifest)
        head = (given["head"][0][:16], given["head"][1])
        write_package(tmp_path / "n.cellpkg", package.manifest, **given | {"head": head})


def test_weights_of_another_package_keep_their_hash(tmp_path):
    small = {k: v for k, v in make.SMALL.items() if k != "embedding"} | {"embedding": 16}
    made = make.manifest(architecture={"id": "cell_resnet", "params": small})
    given = make.parts(made)
    as_given = write_package(tmp_path / "a.cellpkg", made, **given, same_weights=True)
    completed = write_package(tmp_path / "b.cellpkg", made, **given)
    assert as_given.manifest.architecture.params == small
    assert set(completed.manifest.architecture.params) > set(small)
    assert as_given.weights_sha256 != completed.weights_sha256

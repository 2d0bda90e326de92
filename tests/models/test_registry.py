from __future__ import annotations

import pytest

from napari_cellcls.models import places, registry
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import ModelError
from tests.models import make


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders of our own in the place of the bundled and the user's one."""
    bundled, user = tmp_path / "bundled", tmp_path / "home" / "models"
    bundled.mkdir()
    user.mkdir(parents=True)
    monkeypatch.setattr(places, "BUNDLED", bundled)
    monkeypatch.setenv("CELLCLS_HOME", str(tmp_path / "home"))
    return bundled, user


def test_every_bundled_package_is_whole():
    entries = [e for e in registry.entries() if e.source == "bundled"]
    assert "blank" in {e.name for e in entries}
    for entry in entries:
        assert entry.error is None, entry.error
        package = registry.load(entry.path)
        assert entry.path.name == f"{entry.name}.cellpkg"
        assert (places.BUNDLED_ONNX / f"{package.weights_sha256}.onnx").is_file()


def test_bundled_onnx_files_are_ours():
    """Each is byte for byte what the writer makes, and none is left over."""
    from napari_cellcls.models import onnx_writer

    made = {}
    for entry in registry.entries():
        package = registry.load(entry.path)
        ref = package.manifest.architecture
        made[package.weights_sha256] = onnx_writer.to_onnx(ref.id, ref.params, package.weights)
    assert {p.stem: p.read_bytes() for p in places.BUNDLED_ONNX.glob("*.onnx")} == made


def test_entries_are_sorted_and_a_damaged_one_is_not_fatal(folders):
    bundled, user = folders
    make.package(bundled / "small.cellpkg")
    make.package(user / "b.cellpkg", version="1.10.0", name="zebra")
    make.package(user / "c.cellpkg", version="1.9.0", name="zebra")
    (user / "broken.cellpkg").write_bytes(b"half a file")
    (user / "notes.txt").write_text("not a package")
    (user / ".part-x.cellpkg").write_bytes(b"")
    entries = registry.entries()
    assert [e.label for e in entries] == ["small@1.0.0", "broken", "zebra@1.10.0", "zebra@1.9.0"]
    assert [e.source for e in entries] == ["bundled", "user", "user", "user"]
    broken = entries[1]
    assert broken.manifest is None
    assert broken.error is not None
    assert broken.error.code == "MODEL-ARCHIVE"
    assert broken.bytes == 11


def test_no_folders_no_models(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "BUNDLED", tmp_path / "none")
    assert registry.entries() == []
    with pytest.raises(ModelError, match="this computer has no models"):
        registry.find("blank")


def test_find_by_name_version_and_path(folders):
    bundled, user = folders
    make.package(bundled / "small.cellpkg")
    make.package(user / "small2.cellpkg", version="2.0.0")
    assert registry.find("small").version == "2.0.0"
    assert registry.find("small@1.0.0").source == "bundled"
    assert registry.find(bundled / "small.cellpkg").source == "file"
    assert registry.find(str(user / "small2.cellpkg")).version == "2.0.0"
    assert isinstance(registry.load("small"), ModelPackage)


def test_unknown_names_are_explained(folders):
    make.package(folders[0] / "small.cellpkg")
    with pytest.raises(ModelError) as caught:
        registry.find("smal")
    assert caught.value.code == "MODEL-UNKNOWN"
    assert "the models small" in caught.value.why
    assert "Did you mean 'small'?" in caught.value.remedy
    with pytest.raises(ModelError, match=r"this computer has versions 1\.0\.0"):
        registry.find("small@9.0.0")


def test_asking_for_a_damaged_model_gives_its_error(folders):
    (folders[1] / "broken.cellpkg").write_bytes(b"half a file")
    with pytest.raises(ModelError, match="MODEL-ARCHIVE"):
        registry.find("broken")
    with pytest.raises(ModelError, match="MODEL-ARCHIVE"):
        registry.find(folders[1] / "broken.cellpkg")
    with pytest.raises(ModelError, match="MODEL-MISSING"):
        registry.find("no/such.cellpkg")


def test_install_verifies_then_moves(folders, tmp_path):
    _, user = folders
    source = tmp_path / "download.cellpkg"
    written = make.package(source)
    entry = registry.install(source)
    assert entry.path == user / "small-1.0.0.cellpkg"
    assert entry.sha256 == written.sha256
    assert registry.install(source).sha256 == written.sha256
    assert [p.name for p in user.iterdir()] == ["small-1.0.0.cellpkg"]


def test_install_refuses_damage_and_replacement(folders, tmp_path):
    _, user = folders
    source = tmp_path / "download.cellpkg"
    make.package(source)
    registry.install(source)
    make.package(source, seed=1)
    with pytest.raises(ModelError, match="MODEL-EXISTS"):
        registry.install(source)
    source.write_bytes(source.read_bytes()[:-100])
    with pytest.raises(ModelError, match="MODEL-ARCHIVE"):
        registry.install(source)
    assert [p.name for p in user.iterdir()] == ["small-1.0.0.cellpkg"]


def test_install_into_a_folder_that_cannot_be_written(folders, tmp_path, monkeypatch):
    make.package(tmp_path / "m.cellpkg")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CELLCLS_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError) as caught:
        registry.install(tmp_path / "m.cellpkg")
    assert caught.value.code == "MODEL-FOLDER"
    assert caught.value.why.startswith("the system says '")
    assert "CELLCLS_HOME" in caught.value.remedy


def test_a_file_that_cannot_be_read_is_listed(folders, monkeypatch):
    make.package(folders[1] / "small.cellpkg")

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(registry, "read_package", denied)
    (entry,) = registry.entries()
    assert entry.error is not None
    assert entry.error.code == "MODEL-UNREADABLE"
    assert entry.error.why == "the system says 'Permission denied'."


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/napari-cellcls"),
        ("linux", {"HOME": "/home/ana"}, "/home/ana/.local/share/napari-cellcls"),
        ("darwin", {"HOME": "/Users/ana"}, "/Users/ana/Library/Application Support/napari-cellcls"),
        ("win32", {"LOCALAPPDATA": "/L"}, "/L/napari-cellcls"),
        ("linux", {"CELLCLS_HOME": "/mine"}, "/mine"),
    ],
)
def test_home(platform, variables, expected, monkeypatch):
    for name in ("CELLCLS_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert places.home().as_posix() == expected


def test_a_package_is_read_once_until_it_changes(folders, monkeypatch):
    bundled, _ = folders
    path = bundled / "small.cellpkg"
    make.package(path)
    read, plain = [], registry.read_package
    monkeypatch.setattr(registry, "read_package", lambda p: read.append(p) or plain(p))
    first = registry.describe_file(path)
    assert registry.describe_file(path) is first and len(read) == 1
    make.package(path, version="2.0.0")
    assert registry.describe_file(path).version == "2.0.0" and len(read) == 2
    path.write_bytes(path.read_bytes()[:-20])
    for times in (3, 4):  # a damaged one is tried again: it may have been in the making
        assert registry.describe_file(path).error is not None and len(read) == times
    path.unlink()
    assert registry.describe_file(path).error is not None

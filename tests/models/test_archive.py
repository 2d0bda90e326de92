from __future__ import annotations

import io
import stat
import struct
import zipfile

import pytest

from napari_cellcls.models.archive import MAX_MEMBERS, Archive, write_archive
from napari_cellcls.vocabulary import ModelError

GOOD = {"package.json": b"{}", "weights.safetensors": b"0123456789" * 50}


def zipped(
    *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def member(name: str = "package.json", *, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def patched(old: bytes, new: bytes, data: bytes | None = None) -> bytes:
    data = write_archive(GOOD) if data is None else data
    assert old in data
    return data.replace(old, new)


def encrypted() -> bytes:
    data = bytearray(write_archive({"package.json": b"{}"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    return bytes(data)


def overlapping() -> bytes:
    """The table of contents points the second member at the first one's bytes."""
    data = bytearray(write_archive({"a": b"x" * 40, "b": b"x" * 40}))
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 10)
    return bytes(data)


def doubled() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zipped(("package.json", b"{}"), ("package.json", b"[]"))


def commented() -> bytes:
    buffer = io.BytesIO(write_archive(GOOD))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"hello"
    return buffer.getvalue()


HOSTILE = {
    "empty": (lambda: b"", "does not start as a zip"),
    "text": (lambda: b"<html>404</html>", "does not start as a zip"),
    "program with a zip behind it": (lambda: b"MZ" + write_archive(GOOD), "does not start as a zip"),
    "cut": (lambda: write_archive(GOOD)[:-30], "not a whole zip"),
    "only a start": (lambda: b"PK\x03\x04", "not a whole zip"),
    "parent folder": (lambda: zipped(("../evil.txt", b"")), "not a plain file name"),
    "folder": (lambda: zipped(("sub/package.json", b"")), "not a plain file name"),
    "absolute": (lambda: zipped(("/etc/passwd", b"")), "not a plain file name"),
    "drive": (lambda: zipped(("C:evil.txt", b"")), "not a plain file name"),
    "backslash": (lambda: zipped((member("..\\evil.txt"), b"")), "not a plain file name"),
    "hidden": (lambda: zipped((".bashrc", b"")), "not a plain file name"),
    "odd letters": (lambda: zipped(("p\u0430ckage.json", b"")), "not a plain file name"),
    "zero byte": (lambda: patched(b"package.json", b"pack\0ge.json"), "not a plain file name"),
    "folder entry": (lambda: zipped((member("models/", mode=stat.S_IFDIR), b"")), "not a plain file name"),
    "link": (lambda: zipped((member(mode=stat.S_IFLNK | 0o777), b"/etc")), "not a regular file"),
    "device": (lambda: zipped((member(mode=stat.S_IFCHR), b"")), "not a regular file"),
    "name twice": (doubled, "is given twice"),
    "name twice but for case": (lambda: zipped(("a.json", b""), ("A.JSON", b"")), "is given twice"),
    "encrypted": (encrypted, "is encrypted"),
    "bzip2": (lambda: zipped(("a.json", b"x"), method=zipfile.ZIP_BZIP2), "compression method 12"),
    "lzma": (lambda: zipped(("a.json", b"x"), method=zipfile.ZIP_LZMA), "compression method 14"),
    "many members": (lambda: zipped(*((f"f{i}", b"") for i in range(MAX_MEMBERS + 1))), "has 33 members"),
    "no members": (lambda: zipped(), "does not start as a zip"),
    "overlap": (overlapping, "overlap"),
    "comment": (commented, "carries a comment"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused(case):
    make, why = HOSTILE[case]
    with pytest.raises(ModelError) as caught:
        Archive(make())
    assert caught.value.code == "MODEL-ARCHIVE"
    assert why in caught.value.why


def test_a_bomb_stops_at_its_limit():
    data = zipped(("a.json", b"\0" * 50_000_000), method=zipfile.ZIP_DEFLATED)
    assert len(data) < 100_000
    with pytest.raises(ModelError, match=r"a\.json unpacks to more than its 1,000 bytes"):
        Archive(data).read("a.json", 1000)


def test_a_lie_about_the_size_is_noticed():
    data = zipped(("a.json", b"\0" * 5000), method=zipfile.ZIP_DEFLATED)
    data = data.replace(struct.pack("<I", 5000), struct.pack("<I", 10))
    with pytest.raises(ModelError, match="MODEL-ARCHIVE"):
        Archive(data).read("a.json", 10_000)


def test_a_flipped_byte_in_a_member_is_noticed():
    data = patched(b"0123456789", b"0123456788")
    with pytest.raises(ModelError, match=r"weights\.safetensors cannot be unpacked"):
        Archive(data).read("weights.safetensors", 1000)


def test_other_name_in_the_local_header():
    data = bytearray(write_archive(GOOD))
    data[30:42] = b"qackage.json"
    with pytest.raises(ModelError, match="cannot be unpacked"):
        Archive(bytes(data)).read("package.json", 100)


def test_same_members_same_bytes():
    assert write_archive(GOOD) == write_archive(dict(GOOD))
    archive = Archive(write_archive(GOOD))
    assert archive.names == tuple(GOOD)
    assert {name: archive.read(name, 1000) for name in archive.names} == GOOD

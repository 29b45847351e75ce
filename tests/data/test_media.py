"""Media cells: which files are what, and how large they may be."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from plait.data import media
from plait.data.media import cell_bytes, cell_digest, first_bytes, is_url, kind_of_bytes, kind_of_path, resolve_path
from plait.exceptions import BadCell


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image"), (b"\xff\xd8\xff\xe0", "image"), (b"GIF89a", "image"), (b"BM", "image"),
        (b"II*\x00", "image"), (b"RIFF\0\0\0\0WEBP", "image"), (b"RIFF\0\0\0\0WAVE", "audio"), (b"fLaC", "audio"),
        (b"OggS", "audio"), (b"ID3", "audio"), (b"\xff\xfb\x90", "audio"), (b"FORM", "audio"), (b"", None),
        (b"RIFF\0\0\0\0AVI ", "video"), (b"\0\0\0\x18ftyp", "video"), (b"\x1a\x45\xdf\xa3", "video"),
        (b"RIFF\0\0\0\0XXXX", None), (b"hello", None),
    ],
)  # fmt: skip
def test_kind_of_bytes(head: bytes, kind: str | None) -> None:
    assert kind_of_bytes(head) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [("a/b.JPG", "image"), ("x.flac", "audio"), ("x.mp4", "video"), ("x.png.txt", None), ("png", None), ("", None)],
)
def test_kind_of_path(path: str, kind: str | None) -> None:
    assert kind_of_path(path) == kind


def test_addresses() -> None:
    assert is_url("s3://bucket/a.png")
    assert is_url("data:image/png;base64,")
    assert not is_url("a/b.png")
    assert not is_url("C:/x.png")


def test_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    assert cell_bytes(b"x") == b"x"
    assert cell_bytes(str(path)) == b"content"
    assert cell_bytes({"bytes": None, "path": str(path)}) == b"content"
    assert cell_bytes({"bytes": b"x", "path": "nowhere"}) == b"x"
    for empty in (None, b"", "", {}, {"bytes": b"", "path": ""}, {"bytes": None, "path": None}):
        assert cell_bytes(empty) is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("/nowhere/x.png", "there is no file /nowhere/x.png"),
        ("a\0b", "there is no file"),
        ("x" * 5000, "there is no file xxx"),
        ("/", "there is no file /"),
        ("/dev/null", "there is no file /dev/null"),
        (5, "'5' is neither a path nor bytes"),
        ([1, 2], "'[1, 2]' is neither a path nor bytes"),
        (1.5, "neither a path nor bytes"),
        ({"bytes": "/etc/passwd"}, "`bytes` holds str, not bytes"),
        ({"bytes": [1]}, "`bytes` holds list, not bytes"),
        ({"path": 3}, "'3' is neither a path nor bytes"),
    ],
)
def test_a_cell_that_cannot_be_read(cell: object, expected: str) -> None:
    with pytest.raises(BadCell) as told:
        cell_bytes(cell)
    assert expected in str(told.value)
    assert len(str(told.value)) < 600


def test_an_empty_file_is_bad_not_absent(tmp_path: Path) -> None:
    (tmp_path / "e.png").touch()
    with pytest.raises(BadCell, match=r"e\.png is empty"):
        cell_bytes(str(tmp_path / "e.png"))


def test_huge_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_FILE_BYTES", 1000)
    path = tmp_path / "big.wav"
    with path.open("wb") as file:
        file.truncate(5000)
    with pytest.raises(BadCell, match=r"big\.wav has 5,000 bytes; at most 1,000 are read"):
        cell_bytes(str(path))
    with pytest.raises(BadCell, match="1,001 bytes; at most 1,000 are read"):
        cell_bytes(bytes(1001))
    assert cell_bytes(bytes(1000)) == bytes(1000)
    os.truncate(path, 1000)
    assert cell_bytes(str(path)) == bytes(1000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(BadCell, match=r"a\.png cannot be read \(Permission denied\)"):
        cell_bytes(str(path))
    assert first_bytes(str(path)) == b""


def test_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    assert first_bytes(str(tmp_path / "a")) == bytes(range(16))
    assert first_bytes(str(tmp_path)) == b""
    assert first_bytes("a\0b") == b""
    assert first_bytes("x" * 5000) == b""


def test_digests_go_by_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    same = cell_digest(b"same")
    assert cell_digest(str(tmp_path / "a")) == cell_digest(str(tmp_path / "b")) == same
    assert cell_digest({"bytes": None, "path": str(tmp_path / "a")}) == cell_digest({"bytes": b"same"}) == same
    assert cell_digest(b"other") != same
    assert cell_digest(None) == cell_digest(b"") == 0
    assert cell_digest("/nowhere/a") != cell_digest("/nowhere/b")
    assert same == int.from_bytes(hashlib.blake2b(b"same", digest_size=8).digest(), "little")


def test_the_root_folder_holds_everything() -> None:
    assert resolve_path("etc/x", Path("/"), allow_outside=False) == os.path.realpath("/etc/x")

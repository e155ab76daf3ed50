"""What is fetched from npm for tests is what is known here, or nothing."""

import dataclasses
import hashlib
import io
import stat
import sys
import tarfile
from pathlib import Path

import pytest

from local.fetch_npm import NpmFile, fetch_npm, install

FILE = NpmFile("axe-core", "1.0.0", "0" * 64, "package/axe.min.js", "mailscope-axe")


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that packs what `archive.tgz` is, in an environment of its own."""
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as opened:
        member = tarfile.TarInfo(FILE.member)
        member.size = 3
        opened.addfile(member, io.BytesIO(b"axe"))
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nfor last; do :; done\ncp "{archive}" "$last/axe-core.tgz"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return archive


def test_another_archive_than_the_known_one_is_not_taken(npm: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has the SHA-256"):
        fetch_npm(FILE, 60)
    assert not (tmp_path / "share").exists()


def test_the_known_one_is_taken_whole(npm: Path, tmp_path: Path) -> None:
    known = dataclasses.replace(FILE, sha256=hashlib.sha256(npm.read_bytes()).hexdigest())
    fetch_npm(known, 60)
    assert known.path == tmp_path / "share" / "mailscope-axe" / "1.0.0" / "axe.min.js"
    assert known.path.read_bytes() == b"axe" and [one.name for one in known.path.parent.iterdir()] == ["axe.min.js"]


def test_without_npm_the_rest_is_installed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert install(FILE, "tests of accessibility") == 0
    assert "tests of accessibility are left out: npm is not installed" in capsys.readouterr().err

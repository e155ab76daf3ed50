"""What is fetched for tests of accessibility is what is known here, or nothing."""

import hashlib
import io
import stat
import tarfile
from pathlib import Path

import pytest

from local import install_axe


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that packs what `archive.tgz` is."""
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as opened:
        member = tarfile.TarInfo(install_axe.MEMBER)
        member.size = 3
        opened.addfile(member, io.BytesIO(b"axe"))
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nfor last; do :; done\ncp "{archive}" "$last/axe-core.tgz"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return archive


def test_another_archive_than_the_known_one_is_not_taken(npm: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has the SHA-256"):
        install_axe.install_axe(tmp_path / "share" / "axe.min.js")
    assert not (tmp_path / "share").exists()


def test_the_known_one_is_taken_whole(npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_axe, "SHA256", hashlib.sha256(npm.read_bytes()).hexdigest())
    install_axe.install_axe(tmp_path / "share" / "axe.min.js")
    assert (tmp_path / "share" / "axe.min.js").read_bytes() == b"axe"


def test_without_npm_the_rest_is_installed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(install_axe, "axe_file", lambda: tmp_path / "axe.min.js")
    assert install_axe.main() == 0
    assert "npm is not installed" in capsys.readouterr().err

import os
import stat
from pathlib import Path

import pytest

from runtime.own_folder import own_folder


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_a_folder_is_made_and_one_that_is_open_is_closed(tmp_path: Path) -> None:
    own_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    own_folder(tmp_path / "open")
    assert mode(tmp_path / "open") == 0o700


def test_a_shared_folder_and_another_users_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, other = tmp_path / "shared", tmp_path / "other"
    shared.mkdir()
    shared.chmod(0o1777)
    own_folder(shared)
    assert mode(shared) == 0o1777
    other.mkdir()
    other.chmod(0o770)
    monkeypatch.setattr(os, "geteuid", lambda: other.stat().st_uid + 1)
    own_folder(other)
    assert mode(other) == 0o770

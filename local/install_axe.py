"""Fetch axe-core, which tests of accessibility run in the browser: `python -m local.install_axe`. Tests alone need it.

It comes by npm, in one version, and only if its archive is the one that is known here. Without npm those tests are left out.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.14.1"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"  # of the archive
MEMBER = "package/axe.min.js"
SECONDS = 120


def axe_file() -> Path:
    """Where the script of this environment is; it may be missing."""
    return Path(sys.prefix) / "share" / "mailscope-axe" / VERSION / "axe.min.js"


def install_axe(file: Path) -> None:
    """Fetch it, whole or not at all. OSError or SubprocessError when npm does not bring it, ValueError when it is another one."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        pack = [npm, "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", folder]
        subprocess.run(pack, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL, cwd=folder)
        (archive,) = Path(folder).glob("*.tgz")
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            raise ValueError(f"axe-core {VERSION} has the SHA-256 {found}, not {SHA256}")
        with tarfile.open(archive) as opened:
            script = opened.extractfile(MEMBER)
            assert script is not None
            octets = script.read()
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(octets)
    part.replace(file)


def main() -> int:
    """Install it where it is missing. What does not work is said, and keeps nobody from the rest: it is for tests."""
    if not axe_file().exists():
        try:
            install_axe(axe_file())
        except (OSError, subprocess.SubprocessError, tarfile.TarError, ValueError) as error:
            print(
                f"axe-core could not be fetched, so that tests of accessibility are left out: {error}", file=sys.stderr
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())

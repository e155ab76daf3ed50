"""Install canaille, the identity provider that tests log in with: `python -m local.install_canaille`. Tests alone need it.

It has an environment of its own: its archive brings a package `tests`, which would stand in the way of ours. It and all that it needs come
in the versions, and with the hashes, of `tests/fakes/canaille.lock`. Without it those tests are left out.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from local.install_for_tests import install_missing

LOCK = Path(__file__).resolve().parents[1] / "tests" / "fakes" / "canaille.lock"
SECONDS = 300


def canaille_python() -> Path:
    """The interpreter of its environment; it may be missing."""
    version = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12] if LOCK.exists() else "none"
    return Path(sys.prefix) / "share" / "mailscope-canaille" / version / "bin" / "python"


def install_canaille(python: Path) -> None:
    """Make its environment, whole or not at all. OSError or SubprocessError when that does not work."""
    folder = python.parents[1]
    venv.create(folder, with_pip=True, clear=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(LOCK)]
    try:
        subprocess.run([str(python), *install], check=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        shutil.rmtree(folder, ignore_errors=True)
        raise


if __name__ == "__main__":
    sys.exit(install_missing(canaille_python(), install_canaille, "canaille", "tests of the log-in"))

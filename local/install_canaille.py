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


def main() -> int:
    """Install it where it is missing. What does not work is said, and keeps nobody from the rest: it is for tests."""
    if not canaille_python().exists():
        try:
            install_canaille(canaille_python())
        except (OSError, subprocess.SubprocessError) as error:
            print(
                f"canaille could not be installed, so that tests of the log-in are left out: {error}", file=sys.stderr
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())

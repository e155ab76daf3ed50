"""What the installers of things that only tests need have in common: known archives, and a failure that is said and stops nobody."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path


def check_sha256(file: Path, wanted: str, name: str) -> None:
    """ValueError when the file is not the one that is known."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != wanted:
        raise ValueError(f"{name} has the SHA-256 {found}, not {wanted}")


def install_missing(path: Path, install: Callable[[Path], None], name: str, what: str) -> int:
    """`install(path)` where it is missing; exit code 0. What does not work is said, and keeps nobody from the rest."""
    if not path.exists():
        try:
            install(path)
        except Exception as error:  # of pip, npm, Maven or an archive; tests say that they are skipped
            print(f"{name} could not be fetched, so that {what} are left out: {error}", file=sys.stderr)
    return 0

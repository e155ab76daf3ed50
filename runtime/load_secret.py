"""The key of bounce addresses (SRS, VERP): one for all processes of a pipeline."""

import os
import secrets
from pathlib import Path

from contracts.settings import Settings


def load_secret(settings: Settings) -> bytes:
    """The key of this pipeline; made on first use when it is kept in `data_dir`. OSError when it cannot be read."""
    path = settings.secret_file or settings.data_dir / "secret"
    if not path.exists() and settings.secret_file is None:
        _create(path)
    return path.read_bytes().strip()


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    fresh.write_text(secrets.token_hex(32) + "\n")
    try:
        os.link(fresh, path)  # the first of several processes wins
    except FileExistsError:
        pass
    finally:
        fresh.unlink()

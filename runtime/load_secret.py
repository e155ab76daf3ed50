"""The key of bounce addresses (SRS, VERP): one for all processes of a pipeline."""

import os
import secrets
from pathlib import Path

from contracts.errors import ConfigurationError
from contracts.settings import Settings


def load_secret(settings: Settings) -> bytes:
    """The key of this pipeline; made on first use when all of it is on one machine and it is kept in `data_dir`. ConfigurationError when
    it has to be given (`why_not_own`) or what is given is none; OSError when the one in `data_dir` cannot be read."""
    if settings.secret_file is not None:
        try:
            secret = settings.secret_file.read_bytes().strip()
        except OSError as error:
            raise ConfigurationError(
                f"secret_file: {settings.secret_file} cannot be read ({error.strerror})"
            ) from error
        if not secret:
            raise ConfigurationError(f"secret_file: {settings.secret_file} is empty")
        return secret
    if why := why_not_own(settings):
        raise ConfigurationError(why)
    path = settings.data_dir / "secret"
    if not path.exists():
        _create(path)
    return path.read_bytes().strip()


def why_not_own(settings: Settings) -> str:
    """Why the processes of this pipeline cannot make a key themselves, and what to do; empty when they can."""
    if settings.secret_file is not None or settings.kafka_is_local:
        return ""
    return (
        f"secret_file: Kafka ({settings.kafka.bootstrap}) is not on this machine, so the processes of this pipeline share no data "
        "folder, and a bounce address that one makes must be known to the others: give all of them one file, such as "
        "`openssl rand -hex 32 > secret` makes"
    )


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

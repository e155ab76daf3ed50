"""API tokens: a file holds their hashes, scopes and domains; a token itself is shown once and kept nowhere.

The file is read again when it changes. Tokens are 256 random bits, so a plain SHA-256 of one gives nothing away.
"""

import fcntl
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts import clock
from contracts.settings import Settings

SCOPES = ("read", "raw", "send", "manage")


@dataclass(frozen=True)
class Principal:
    """Who asks. `domains` limits what is seen and sent; empty means all."""

    name: str
    scopes: frozenset[str]
    domains: frozenset[str]


class Tokens:
    """The tokens of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._by_hash: dict[str, Principal] = {}

    def find(self, token: str) -> Principal | None:
        """Whose token this is; None when nobody's."""
        self._reload()
        return self._by_hash.get(_hash(token))

    def _reload(self) -> None:
        try:
            stat = self._path.stat()
        except OSError:
            self._by_hash, self._stamp = {}, None
            return
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            self._by_hash = {
                entry["sha256"]: Principal(entry["name"], frozenset(entry["scopes"]), frozenset(entry["domains"]))
                for entry in _read(self._path)
            }
            self._stamp = stamp


def create_token(path: Path, name: str, scopes: list[str], domains: list[str]) -> str:
    """Add a token to the file and return it."""
    token = "ms_" + secrets.token_urlsafe(32)
    _add(path, name, token, scopes, domains)
    return token


def ensure_admin_token(settings: Settings) -> Path:
    """`admin-token` in the data folder, mode 0600, with a token of all scopes that the tokens file knows."""
    path = settings.data_dir / "admin-token"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        token = path.read_text().strip()
    except OSError:
        token = ""
    if not token:
        token = "ms_" + secrets.token_urlsafe(32)
        _write(path, token + "\n")
    if Tokens(settings.tokens_path).find(token) is None:
        _add(settings.tokens_path, "admin", token, list(SCOPES), [])
    return path


def _add(path: Path, name: str, token: str, scopes: list[str], domains: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entry = {
            "name": name,
            "sha256": _hash(token),
            "scopes": scopes,
            "domains": [domain.lower() for domain in domains],
            "created_at": clock.rfc3339(clock.now()),
        }
        entries = _read(path) if path.exists() else []
        _write(path, json.dumps([*entries, entry], indent=1) + "\n")


def _read(path: Path) -> list[dict[str, Any]]:
    entries = json.loads(path.read_text())
    assert isinstance(entries, list)
    return entries


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

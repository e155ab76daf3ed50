"""Idempotency keys of the send hook: a request that is repeated gets the first answer, and is sent once.

The mail_id is written down before the mail is published. A request that is repeated after a crash in between is published
under the same mail_id, so that the log shows one mail.
"""

import hashlib
import sqlite3
import threading
import time
from pathlib import Path

KEPT = 24 * 3600  # seconds


class KeyReused(Exception):
    """The key was used for another request."""


class KeyStore:
    """A small SQLite file; safe for threads and processes of one machine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS keys (name TEXT, key TEXT, fingerprint TEXT, mail_id TEXT, answer TEXT, at REAL, "
            "PRIMARY KEY (name, key))"
        )

    def begin(self, name: str, key: str, request: bytes, mail_id: str) -> tuple[str, str | None]:
        """(mail_id to use, answer given before or None). KeyReused when the key stands for another request."""
        fingerprint = hashlib.sha256(request).hexdigest()
        with self._lock:
            self._db.execute("DELETE FROM keys WHERE at < ?", (time.time() - KEPT,))
            self._db.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, NULL, ?) ON CONFLICT DO NOTHING",
                (name, key, fingerprint, mail_id, time.time()),
            )
            row = self._db.execute(
                "SELECT fingerprint, mail_id, answer FROM keys WHERE name = ? AND key = ?", (name, key)
            ).fetchone()
        if row[0] != fingerprint:
            raise KeyReused(key)
        return str(row[1]), row[2]

    def finish(self, name: str, key: str, answer: str) -> None:
        """The request was answered so."""
        with self._lock:
            self._db.execute("UPDATE keys SET answer = ? WHERE name = ? AND key = ?", (answer, name, key))

    def abandon(self, name: str, key: str) -> None:
        """The request was refused: the key is free again."""
        with self._lock:
            self._db.execute("DELETE FROM keys WHERE name = ? AND key = ? AND answer IS NULL", (name, key))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

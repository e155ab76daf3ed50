"""The first token: `admin-token` in the data folder, with all scopes. One for all replicas, however many there are and however often
they start: it has an id of its own, and a claim decides whose file holds it."""

import asyncio
import logging
import os
import secrets
from pathlib import Path

from console.sessions import deletion
from console.tokens import SCOPES, describe_token, hash_token, make_token, token_record
from contracts.errors import ConfigurationError
from contracts.settings import Settings
from contracts.shared_state import Token
from runtime.claim import Claims
from runtime.follow_table import FollowedTable
from runtime.publish import Publisher

ADMIN = "admin"
SHORTEST = 32  # characters of a token that is given
CLAIM = "admin-token"
ASK_AGAIN = 0.2  # seconds

_log = logging.getLogger("mailscope.console")


async def ensure_admin_token(
    settings: Settings, table: FollowedTable[Token], claims: Claims, publisher: Publisher
) -> None:
    """Make the admin token if there never was one; a revoked one is not made again. Unavailable when Kafka does not answer.
    ConfigurationError when one is given that is too short."""
    await table.ready()
    if settings.console.admin_token_file is not None:
        await _take_given(settings.console.admin_token_file, table, publisher)
        return
    path = settings.data_dir / "admin-token"
    while (known := table.get(ADMIN)) is None:
        first = await claims.claim(CLAIM, secrets.token_hex(6))
        if not claims.take_up(first):
            await asyncio.sleep(ASK_AGAIN)
            continue
        try:
            text = _read(path) or make_token()
            _write(path, text + "\n")
            await _publish(text, table, publisher)
        finally:
            claims.put_down(first)
    if known.revoked_at is None and hash_token(_read(path)) != known.sha256:
        _log.warning(
            "the admin token of this pipeline was made elsewhere and is not the one in %s: `mailscope token create` makes others, "
            "and `mailscope token revoke admin` ends it",
            path,
        )


async def _take_given(path: Path, table: FollowedTable[Token], publisher: Publisher) -> None:
    """Whoever gives the file is who decides: what it holds now is the token, also after another one."""
    text = _read(path).partition("\n")[0].strip()
    if len(text) < SHORTEST:
        raise ConfigurationError(
            f"console.admin_token_file: {path} holds no token of at least {SHORTEST} characters: make one by `openssl rand -hex 32`"
        )
    known = table.get(ADMIN)
    if known is None or known.sha256 != hash_token(text):  # one that was revoked stays so
        await _end_sessions(table, publisher)
        await _publish(text, table, publisher)
        await _end_sessions(table, publisher)  # those that the old one began meanwhile


async def _end_sessions(table: FollowedTable[Token], publisher: Publisher) -> None:
    """Who is shut out by another token is not to stay in by what the old one began."""
    for one in table.snapshot().values():
        if one.session_of == ADMIN:
            await table.read_up_to(await publisher.publish_at(deletion(one.id)))


async def _publish(text: str, table: FollowedTable[Token], publisher: Publisher) -> None:
    token = describe_token(ADMIN, "admin", text, list(SCOPES), [])
    await table.read_up_to(await publisher.publish_at(token_record(token)))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """Whole or not at all, for the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)

"""`mailscope token`: create, list and revoke API tokens, in Kafka, where every replica of the console learns of it at once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import click
import msgspec

from commands.ask_api import leave, settings_or_leave
from commands.note_act import act_record
from console.tokens import SCOPES, new_token, open_tokens, token_record
from contracts import clock, topics
from contracts.audit import AuditAction
from contracts.errors import Unavailable
from contracts.setting_types import parse_duration
from contracts.shared_state import Token
from runtime.connect_kafka import Properties
from runtime.publish import Publisher

Result = TypeVar("Result")
PATIENCE = 20.0  # seconds for Kafka to answer


@click.group()
def token() -> None:
    """API tokens."""


@token.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it may do; may be repeated.",
)
@click.option("--domain", "domains", multiple=True, help="Limit it to mail of this domain; may be repeated.")
@click.option(
    "--network", "networks", multiple=True, help="Limit it to this network, such as 192.0.2.0/24; may be repeated."
)
@click.option(
    "--masked", is_flag=True, help="Mask addresses of people outside; `--scope reveal` lets it ask for a mail's."
)
@click.option("--expires", help="When it ends by itself: after so long, such as 90d.")
def token_create(
    name: str,
    scopes: tuple[str, ...],
    domains: tuple[str, ...],
    networks: tuple[str, ...],
    masked: bool,
    expires: str | None,
) -> None:
    """Create a token and print it. It is shown once: only its hash is kept."""
    try:
        ends = clock.now() + parse_duration(expires) if expires else None
        text, made = new_token(name, list(scopes), list(domains), networks, ends, masked=masked)
    except ValueError as error:
        leave(str(error), 2)
    _run(lambda kafka: write_token(kafka, made))
    click.echo(text)


@token.command("list")
def token_list() -> None:
    """List tokens and sessions of the console: id, name, scopes, domains, networks, whether masked, when made, when revoked, whose session
    and until when."""
    for one in sorted(_run(read_tokens).values(), key=lambda one: one.created_at):
        ended = f"revoked {clock.rfc3339(one.revoked_at)}" if one.revoked_at else ""
        if one.session_of and one.expires_at and not ended:
            ended = f"session of {one.session_of} until {clock.rfc3339(one.expires_at)}"
        elif one.expires_at and not ended:
            ended = f"until {clock.rfc3339(one.expires_at)}"
        cells = [
            one.id,
            one.name,
            ",".join(one.scopes),
            ",".join(one.domains) or "all domains",
            *([",".join(one.networks)] if one.networks else []),
            *(["masked"] if one.masked else []),
            clock.rfc3339(one.created_at),
            ended,
        ]
        click.echo("  ".join(cells).rstrip())


@token.command("revoke")
@click.argument("token", metavar="ID|NAME")
def token_revoke(token: str) -> None:
    """Revoke a token by its id, or by its name where only one has it; its sessions end with it. A session has an id as well. It is
    refused at once, everywhere."""
    known = _run(read_tokens).values()
    found = [one for one in known if token == one.id or (token == one.name and not one.session_of)]
    found = [one for one in found if one.id == token] or [one for one in found if one.revoked_at is None] or found
    if not found:
        leave(f"there is no token '{token}': `mailscope token list` shows all", 1)
    if len(found) > 1:
        leave(f"{len(found)} tokens are named '{token}': give the id of one ({', '.join(one.id for one in found)})", 1)
    if found[0].revoked_at is None:
        revoked = msgspec.structs.replace(found[0], revoked_at=clock.now())
        _run(lambda kafka: write_token(kafka, revoked))
    click.echo(f"{found[0].id} ({found[0].name}) is revoked")


async def write_token(kafka: Properties, one: Token) -> None:
    """Write down who does it, and make it known to all. Unavailable when Kafka does not acknowledge it."""
    publisher = Publisher(kafka, timeout=PATIENCE)
    try:
        await publisher.warm_up(topics.TOKENS, PATIENCE)
        done = AuditAction.TOKEN_REVOKED if one.revoked_at is not None else AuditAction.TOKEN_CREATED
        await publisher.publish(act_record(done, detail=f"{one.id} ({one.name})"))
        await publisher.publish(token_record(one))
    finally:
        await publisher.close(1)


async def read_tokens(kafka: Properties) -> dict[str, Token]:
    """All tokens by their ids, revoked ones as well. Unavailable when Kafka does not answer."""
    table = open_tokens(kafka)
    try:
        await table.ready(PATIENCE)
        return table.snapshot()
    finally:
        await table.close()


def _run(ask: Callable[[Properties], Coroutine[None, None, Result]]) -> Result:
    settings = settings_or_leave()
    try:
        return asyncio.run(ask(settings.kafka_client))
    except Unavailable as error:
        leave(str(error), 69)

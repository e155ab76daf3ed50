"""`mailscope audit`: who did what with the log."""

import json

import click

from commands.ask_api import ask_api, since_or_leave
from contracts import clock
from contracts.audit import AuditAction
from runtime.log import printable


@click.command()
@click.option("--actor", help="Only what the token of this name did.")
@click.option("--action", type=click.Choice([action.value for action in AuditAction]), help="Only acts of this kind.")
@click.option("--mail", "mail_id", help="Only what was done to the mail with this id.")
@click.option("--address", help="Only what was done to this address.")
@click.option("--since", help="Only acts of this time, such as 2h or 3d.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="Acts at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def audit(
    actor: str | None,
    action: str | None,
    mail_id: str | None,
    address: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Tell who read messages, redelivered, unblocked, exported, and made tokens, newest first."""
    oldest = since_or_leave(since) if since else None
    given = {
        "actor": actor,
        "action": action,
        "mail_id": mail_id,
        "recipient": address,
        "since": clock.rfc3339(clock.from_ms(int(oldest * 1000))) if oldest is not None else None,
        "limit": limit,
    }
    answer = ask_api("GET", "/audit", params={name: value for name, value in given.items() if value is not None})
    for act in answer["items"]:
        if as_json:
            click.echo(json.dumps(act, ensure_ascii=False))
            continue
        cells = [
            act["at"],
            act["actor"],
            act["action"].replace("_", " "),
            act["mail_id"],
            act["recipient"],
            act["detail"],
        ]
        click.echo(
            printable(
                "  ".join([cell for cell in cells if cell] + ([f"from {act['peer_ip']}"] if act["peer_ip"] else []))
            )
        )
    if answer["next_cursor"] and not as_json:
        click.echo("(there are more: --limit, --since)", err=True)

"""`mailscope search`."""

import json

import click

from commands.ask_api import ask_api
from commands.format_row import format_row


@click.command()
@click.argument("query", nargs=-1)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="Rows at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def search(query: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Search the log, newest first.

    QUERY is what the console takes: status:deferred,delivery_failed to:*@example.net since:2h -subject:digest
    """
    answer = ask_api("GET", "/mails", params={"q": " ".join(query), "limit": limit})
    for item in answer["items"]:
        click.echo(
            json.dumps(item, ensure_ascii=False)
            if as_json
            else f"{format_row(item, item['received_at'])}  {item['mail_id']}"
        )
    if not as_json:
        more = ", more with a larger --limit" if answer["next_cursor"] else ""
        click.echo(
            f"{len(answer['items'])} mails{more}; the log is complete until {answer['complete_until'] or 'unknown'}",
            err=True,
        )

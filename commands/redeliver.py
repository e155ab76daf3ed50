"""`mailscope redeliver`: send again what failed."""

from typing import Any

import click

from commands.ask_api import ask_api, leave
from runtime.log import printable

SHOWN = 20  # rows that are printed, unless all are asked for


@click.command()
@click.argument("mail_id", required=False)
@click.option("--to", "recipients", multiple=True, help="Only to this recipient of the mail; may be repeated.")
@click.option("--search", "line", help="Instead of MAIL_ID: everything that this search finds.")
@click.option("--yes", is_flag=True, help="Do it; without it they are only told.")
@click.option("--all", "everything", is_flag=True, help=f"Print every row, not only the first {SHOWN}.")
def redeliver(mail_id: str | None, recipients: tuple[str, ...], line: str | None, yes: bool, everything: bool) -> None:
    """Tell what can be redelivered, and with --yes do it.

    A mail that failed gets a new round of attempts: outbound mail is sent again, inbound mail is routed again by the rules of today, with
    the same mail_id and all of its history. What has arrived, or is still being tried, stays as it is.
    """
    if (mail_id is None) == (line is None) or (line is not None and recipients):
        leave("give a MAIL_ID (and --to), or --search", 2)
    counts = {"redelivered": 0, "refused": 0}
    printed = 0
    cursor: str | None = None
    while True:
        answer = _ask(mail_id, list(recipients), line, cursor, preview=not yes)
        for name in counts:
            counts[name] += answer[name]
        for one in answer["items"]:
            if printed < SHOWN or everything:
                _tell(one)
            printed += 1
        cursor = answer["next_cursor"]
        if not cursor:
            break
    if printed > SHOWN and not everything:
        click.echo(f"... and {printed - SHOWN} more (--all)")
    done = "redelivered" if yes else "would be redelivered"
    hint = "" if yes or not counts["redelivered"] else " (use --yes to do it)"
    click.echo(f"{counts['redelivered']} {done}, {counts['refused']} stay as they are{hint}", err=True)


def _ask(mail_id: str | None, recipients: list[str], line: str | None, cursor: str | None, *, preview: bool) -> Any:
    if mail_id is not None:
        body: dict[str, Any] = {"recipients": recipients or None, "preview": preview}
        return ask_api("POST", f"/mails/{mail_id}/redeliver", json=body)
    return ask_api("POST", "/redeliver", json={"q": line, "cursor": cursor, "preview": preview})


def _tell(one: dict[str, Any]) -> None:
    why = f": {one['message']}" if one["message"] else ""
    result = one["result"].replace("_", " ")
    click.echo(printable(f"{one['mail_id']}  {one['recipient']}  {one['status'] or '-'}  {result}{why}"))

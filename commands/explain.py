"""`mailscope explain`."""

from typing import Any

import click

from commands.ask_api import ask_api
from runtime.log import printable


@click.command()
@click.argument("mail_id")
def explain(mail_id: str) -> None:
    """Say for each authentication check of a mail what was found, why, and what its domain's owner can do."""
    mail = ask_api("GET", f"/mails/{mail_id}")
    auth = mail.get("auth")
    if not auth:
        click.echo("nothing was checked for this mail (outbound, or refused before its message came)")
        return
    for name in ("spf", "dkim", "dmarc", "arc", "iprev"):
        found = auth.get(name) or ([] if name == "dkim" else {})
        for result in found if isinstance(found, list) else [found]:
            _say(name, result)
        if found == []:
            click.echo(click.style(f"{name:<6} none", bold=True) + "      the mail is not signed")


def _say(name: str, result: dict[str, Any]) -> None:
    word = result.get("result") or {"iprev": "permerror"}.get(name, "none")
    colour = {"pass": "green", "none": None, "neutral": None}.get(word, "red")
    click.echo(click.style(f"{name:<6} {word:<9}", fg=colour, bold=True) + f" {printable(result.get('domain') or '')}")
    for label in ("record", "detail", "cause", "cure"):
        if result.get(label):
            click.echo(f"       {label:<7} {printable(str(result[label]))}")

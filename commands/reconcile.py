"""`mailscope reconcile`: whether all mail that was taken is in the log."""

from typing import Any

import click

from commands.ask_api import ask_api


@click.command()
@click.option("--since", default="1h", show_default=True, help="Of mail received since then: a time, or how long ago.")
def reconcile(since: str) -> None:
    """Compare the messages that were taken with the mails that the log knows, and name what is missing.

    Ends with code 1 when something is. What is newer than the log is complete is not compared, and what was put aside as a dead letter is
    not missing: `mailscope doctor` tells of it.
    """
    answer = ask_api("GET", "/reconciliation", params={"since": since})
    missing = [kind for kind in answer["missing"] if kind["mails"]]
    many = sum(kind["mails"] for kind in missing)
    click.echo(f"{answer['since']} to {answer['until']}: {many} missing, of {answer['taken']:,} mails that were taken")
    for kind in missing:
        _tell(kind)
    if missing:
        raise SystemExit(1)


def _tell(kind: dict[str, Any]) -> None:
    said = {"decision": "taken, and nothing is known of it", "message": "in the log without its message"}[kind["what"]]
    for mail in kind["named"]:
        click.echo(f"  {mail['mail_id']}  {mail['received_at']}  {said}")
    if kind["mails"] > len(kind["named"]):
        click.echo(f"  … and {kind['mails'] - len(kind['named']):,} more like these")

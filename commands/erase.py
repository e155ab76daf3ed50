"""`mailscope erase`: take an address out of the log, on request."""

import time
from typing import Any

import click

from commands.ask_api import ask_api, leave

PATIENCE = 600.0  # seconds; the sink goes on whatever happens here
LOOK = 0.5  # seconds between two looks


@click.command()
@click.argument("address", required=False)
@click.option("--yes", is_flag=True, help="Do it; without it only what is there is told.")
@click.option(
    "--suppression", is_flag=True, help="Take it off the suppression list and forget its preferences as well."
)
@click.option("--status", is_flag=True, help="Instead of ADDRESS: erasures, done and not done yet.")
def erase(address: str | None, yes: bool, suppression: bool, status: bool) -> None:
    """Tell what the log has of an address, and with --yes erase it (GDPR Article 17).

    All mail for or from it goes: rows, events, messages, dead letters; in other mail and in the audit log the address is replaced by
    [erased]. The lists of addresses keep that nothing is to be sent to it, without notes, unless --suppression is given. What Kafka still
    holds is told, with the time until which it does; it does not come back from there.
    """
    if status == (address is not None):
        leave("give an ADDRESS, or --status", 2)
    if status:
        for one in ask_api("GET", "/erasures")["items"]:
            click.echo(_line(one))
        return
    body = {"address": address, "remove_from_lists": suppression, "preview": not yes}
    answer = ask_api("POST", "/addresses:erase", json=body)
    _tell_found(answer["found"])
    if answer["erasure"] is not None:
        click.echo(_line(_wait(answer["erasure"])))
    for one in answer["kafka"]:
        word = "what was written over" if one["compacted"] else "records of before"
        click.echo(f"  Kafka  {one['topic']:<26} {word} until {one['until'] or 'you delete the topic'} at the latest")
    if not yes:
        click.echo("nothing was erased (use --yes to do it)", err=True)


def _wait(erasure: dict[str, Any]) -> dict[str, Any]:
    """Until it is done; ends the command with code 75 when it takes too long."""
    until = time.monotonic() + PATIENCE
    while erasure["done_at"] is None:
        if time.monotonic() > until:
            leave("it is not done yet, and goes on: `mailscope erase --status` tells", 75)
        time.sleep(LOOK)
        erasure = ask_api("GET", f"/erasures/{erasure['id']}")
    return erasure


def _tell_found(found: dict[str, Any]) -> None:
    lists = [
        name
        for name, there in (("suppression list", found["suppressed"]), ("preferences", found["preference"]))
        if there
    ]
    click.echo(
        f"{found['mails']} mails ({found['rows']} rows), {found['messages']} messages ({found['blobs']} in the blob store)"
        + (f", and an entry of: {', '.join(lists)}" if lists else "")
    )


def _line(one: dict[str, Any]) -> str:
    if one["done_at"] is None:
        return f"{one['asked_at']}  {one['id'][:16]}  not done yet"
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in one["erased"].items())
    return f"{one['asked_at']}  {one['id'][:16]}  erased {one['done_at']}: {counts}"

"""`mailscope suppressions`: the list of addresses that nothing is sent to."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from commands.ask_api import ask_api, ask_api_text
from contracts.suppressions import SuppressionReason

REASONS = [reason.value for reason in SuppressionReason]


@click.group()
def suppressions() -> None:
    """Addresses that nothing is sent to, and why."""


@suppressions.command("list")
@click.argument("address", default="")
@click.option("--reason", type=click.Choice(REASONS), help="Only those with this reason.")
@click.option("--limit", default=1000, show_default=True, help="At most so many.")
def list_suppressions(address: str, reason: str | None, limit: int) -> None:
    """List addresses: all, or ADDRESS, which may be `user@` or `@domain`."""
    cursor, left = "", limit
    while left > 0:
        query = {"address": address, "limit": min(left, 500)} | ({"reason": reason} if reason else {})
        answer = ask_api("GET", "/suppressions", params=query | ({"cursor": cursor} if cursor else {}))
        for entry in answer["items"]:
            click.echo(_line(entry))
        left -= len(answer["items"])
        cursor = answer["next_cursor"] or ""
        if not cursor:
            return
    click.echo(f"(more than {limit}: --limit shows more)", err=True)


@suppressions.command("show")
@click.argument("address")
def show_suppression(address: str) -> None:
    """Show one address with its history, oldest first."""
    entry = ask_api("GET", f"/suppressions/{_path(address)}")
    click.echo(_line(entry) if entry["active"] else f"{entry['address']}  is not suppressed")
    for change in reversed(ask_api("GET", f"/suppressions/{_path(address)}/history")["items"]):
        cells = [
            change["at"],
            change["action"],
            change["reason"],
            f"by {change['by']}",
            change["mail_id"],
            change["note"],
        ]
        click.echo("  " + "  ".join(cell for cell in cells if cell))


@suppressions.command("add")
@click.argument("address")
@click.option("--reason", type=click.Choice(REASONS), default=SuppressionReason.MANUAL.value, help="Why.")
@click.option("--expires", help="When it ends by itself, such as 2026-12-31T00:00:00Z.")
@click.option("--note", default="", help="Anything, for people.")
def add_suppression(address: str, reason: str, expires: str | None, note: str) -> None:
    """Send nothing to an address."""
    body: dict[str, Any] = {"reason": reason, "note": note, "expires_at": expires}
    click.echo(_line(ask_api("PUT", f"/suppressions/{_path(address)}", json=body)))


@suppressions.command("remove")
@click.argument("addresses", nargs=-1, required=True)
@click.option("--note", default="", help="Why, for the history.")
def remove_suppressions(addresses: tuple[str, ...], note: str) -> None:
    """Take addresses off the list. Nothing is sent again."""
    _tell(ask_api("POST", "/suppressions:remove", json={"addresses": list(addresses), "note": note}))


@suppressions.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
def import_suppressions(file: Path) -> None:
    """Add the addresses of a CSV file (`-`: standard input); its first line names the columns. A line that is wrong is told, the others are
    added."""
    octets = click.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
    answer = ask_api("POST", "/suppressions:import", content=octets, headers={"Content-Type": "text/csv"})
    _tell(answer)
    if answer["counts"].get("error"):
        raise SystemExit(1)


@suppressions.command("export")
def export_suppressions() -> None:
    """Print the list as CSV, as `import` reads it."""
    click.echo(ask_api_text("POST", "/suppressions:export"), nl=False)


def _tell(answer: dict[str, Any]) -> None:
    for one in answer["results"]:
        place = f"line {one['line']}: " if "line" in one else ""
        click.echo(f"{place}{one['address']}: {one.get('message') or one['result'].replace('_', ' ')}")
    click.echo(", ".join(f"{count} {word.replace('_', ' ')}" for word, count in answer["counts"].items()) or "no lines")


def _line(entry: dict[str, Any]) -> str:
    until = f"until {entry['expires_at']}" if entry["expires_at"] else ""
    cells = [
        entry["address"],
        entry["reason"],
        entry["since"],
        until,
        f"by {entry['by']}",
        entry["mail_id"],
        entry["note"],
    ]
    return "  ".join(cell for cell in cells if cell)


def _path(address: str) -> str:
    return quote(address, safe="")

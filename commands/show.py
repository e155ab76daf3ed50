"""`mailscope show`."""

import json
from typing import Any

import click

from commands.ask_api import ask_api
from commands.format_row import COLOURS, cut
from runtime.log import printable


@click.command()
@click.argument("mail_id")
@click.option("--json", "as_json", is_flag=True, help="The API's answer.")
def show(mail_id: str, as_json: bool) -> None:
    """Tell what happened to a mail, and why."""
    mail = ask_api("GET", f"/mails/{mail_id}")
    if as_json:
        click.echo(json.dumps(mail, ensure_ascii=False, indent=2))
        return
    for recipient in mail["recipients"]:
        _show_recipient(recipient)
    click.echo("\nTimeline")
    for event in mail["events"]:
        when, who, why = event["occurred_at"][:23], cut(event["recipient"], 40), printable(event.get("detail") or "")
        click.echo(f"  {when}  {_status(event['status'])}  {who}  {why}")
    if mail["attempts"]:
        click.echo("\nAttempts")
    for attempt in mail["attempts"]:
        when, took, code = attempt["started_at"][:23], attempt["duration_ms"], attempt.get("code") or "-"
        where = f"{attempt.get('host') or attempt.get('target')} [{attempt.get('ip') or '-'}] {attempt.get('tls') or 'no TLS'}"
        click.echo(
            f"  {when}  {took:>6} ms  {where}  {attempt.get('command')}: {code} {printable(attempt.get('text') or '')}"
        )


def _show_recipient(item: dict[str, Any]) -> None:
    click.echo(
        f"{_status(item['status'])}  {cut(item.get('from') or item.get('envelope_from') or '<>', 60)} → {cut(item['recipient'], 60)}"
    )
    click.echo(f"  subject   {printable(item.get('subject') or '')}")
    click.echo(
        f"  received  {item['received_at']}   {item['size']} octets   Message-ID {printable(item.get('message_id') or '-')}"
    )
    click.echo(f"  checks    spf={item['spf']} dkim={item['dkim']} dmarc={item['dmarc']}")
    if item.get("reference"):
        click.echo(f"  reference {printable(item['reference'])}")
    if item.get("detail"):
        click.echo(f"  why       {printable(item['detail'])}")
    if item.get("advice"):
        click.echo(f"  advice    {item['advice']['text']} ({item['advice']['turn']})")


def _status(status: str) -> str:
    return click.style(f"{status:<15}", fg=COLOURS.get(status), bold=True)

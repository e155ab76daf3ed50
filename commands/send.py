"""`mailscope send`."""

import base64
import uuid
from pathlib import Path
from typing import Any

import click

from commands.ask_api import ask_api


@click.command()
@click.option("--from", "sender", required=True, help="Author; its domain must be under outbound.domains.")
@click.option("--to", "recipients", required=True, multiple=True, help="Recipient; may be repeated.")
@click.option("--subject", default="", help="Subject.")
@click.option("--text", help="Text; `-` reads standard input.")
@click.option(
    "--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A whole message instead."
)
@click.option("--stream", default="", help="Kind of mail: invitation, request-notification, or any word.")
@click.option("--template", default="", help="Name of the template.")
@click.option("--reference", default="", help="Your key for it, such as IT-42.")
@click.option("--tag", default="", help="Any word.")
def send(sender: str, recipients: tuple[str, ...], text: str | None, file: Path | None, **fields: str) -> None:
    """Send a mail through the send hook."""
    body: dict[str, Any] = {"from": sender, "to": list(recipients), **fields}
    if file is not None:
        body["raw"] = base64.b64encode(file.read_bytes()).decode()
    else:
        body["text"] = click.get_text_stream("stdin").read() if text == "-" else text or ""
    answer = ask_api("POST", "/send", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
    click.echo(answer["mail_id"])
    for recipient in answer["recipients"]:
        click.echo(f"  {recipient['recipient']}: {recipient['status']} {recipient['reason'] or ''}".rstrip())

"""`mailscope ready`: whether the stage of this container can work, for its health check. Kubernetes asks `/readyz` itself."""

import sys

import click
import httpx

from commands.ask_api import settings_or_leave

TIMEOUT = 3.0  # seconds


@click.command()
def ready() -> None:
    """Ask the stage that runs beside this command, at `metrics.port` or as the console, whether it can work; the exit code says it."""
    settings = settings_or_leave()
    said = "nothing listens"
    for port in (settings.metrics.port, settings.console.port):
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=TIMEOUT, trust_env=False)
        except httpx.ConnectError:
            continue
        except httpx.HTTPError as error:
            said = f"port {port} does not answer: {type(error).__name__}"
            continue
        said = answer.text.strip()
        if answer.status_code == 200:
            click.echo(said)
            return
    click.echo(said, err=True)
    sys.exit(1)

"""`mailscope config check`."""

import os

import click

from commands.ask_api import leave, settings_or_leave
from contracts.settings import Settings


@click.command("check")
def check_config() -> None:
    """Read the configuration and say what is wrong with it; exit 0 when it can be used."""
    settings = settings_or_leave()
    problems, hints = look_through(settings)
    for hint in hints:
        click.echo(f"note: {hint}")
    if problems:
        leave("the configuration cannot be used:\n" + "\n".join(f"  {line}" for line in problems), 78)
    counts = (
        f"{len(settings.inbound.domains)} inbound domains, {len(settings.inbound.routes)} routes, "
        f"{len(settings.handlers)} handlers, {len(settings.outbound.domains)} outbound domains"
    )
    click.echo(f"{os.environ.get('MAILSCOPE_CONFIG', 'mailscope.yaml')} is good: {counts}")


def look_through(settings: Settings) -> tuple[list[str], list[str]]:
    """(what stops a stage, what may surprise): files that are missing, routes that can never match, parts not built yet."""
    problems, hints = [], []
    files = [
        (f"outbound.domains.{name}.dkim[{number}].key_file", key.key_file)
        for name, domain in settings.outbound.domains.items()
        for number, key in enumerate(domain.dkim)
    ]
    for place, path in [*files, ("smtp.tls_cert", settings.smtp.tls_cert), ("smtp.tls_key", settings.smtp.tls_key)]:
        if path is not None and not os.access(path, os.R_OK):
            problems.append(f"{place}: {path} cannot be read")
    for name, domain in settings.outbound.domains.items():
        if not domain.dkim:
            hints.append(f"outbound.domains.{name}: no DKIM key; large receivers will not trust this mail")
    for number, route in enumerate(settings.inbound.routes):
        to = route.match.to
        if to and "*" not in to.rpartition("@")[2] and to.rpartition("@")[2] not in settings.inbound.domains:
            hints.append(f"inbound.routes[{number}].match.to: {to} is not in inbound.domains, so no mail gets there")
    for name, channel in settings.channels.items():
        if channel.imap is not None:
            hints.append(f"channels.{name}.imap: polling mailboxes is not built yet; nothing reads this")
    if settings.outbound.credentials:
        hints.append("outbound.credentials: SMTP submission is not built yet; POST /api/v1/send is")
    if settings.outbound.quotas:
        hints.append("outbound.quotas: quotas are not enforced yet")
    return problems, hints

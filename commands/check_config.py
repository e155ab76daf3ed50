"""`mailscope config check`."""

import click

from commands.ask_api import leave
from commands.check_references import doubtful_references, unusable_references
from commands.try_mailboxes import try_mailboxes
from contracts.errors import ConfigurationError
from contracts.settings import Settings
from mail.addresses import matches
from runtime.load_settings import load_with_origin


@click.command("check")
@click.option("--log-in", is_flag=True, help="Also log in to each mailbox of the channels.")
def check_config(log_in: bool) -> None:
    """Read the configuration and say what is wrong with it; exit 0 when it can be used.

    Keys, certificates, passwords and Python functions that it names are tried as well.
    """
    try:
        settings, origin = load_with_origin()
    except ConfigurationError as error:
        leave(str(error), 78)
    problems, hints = look_through(settings)
    for hint in hints:
        click.echo(f"note: {origin.point_by_text(hint)}")
    if log_in and not problems:
        problems = [
            f"channels.{name}.imap: {seen}: {advice}" for name, seen, advice in try_mailboxes(settings) if advice
        ]
    if problems:
        told = "\n".join(f"  {origin.point_by_text(problem)}" for problem in problems)
        leave(f"the configuration cannot be used:\n{told}", 78)
    counts = (
        f"{len(settings.inbound.domains)} inbound domains, {len(settings.inbound.routes)} routes, "
        f"{len(settings.handlers)} handlers, {len(settings.outbound.domains)} outbound domains"
    )
    click.echo(f"{origin.file or 'the built-in configuration'} is good: {counts}")


def look_through(settings: Settings) -> tuple[list[str], list[str]]:
    """(what stops a stage, what may surprise); each begins with the path of its setting."""
    hints = [*doubtful_references(settings), *_idle_settings(settings)]
    return list(unusable_references(settings)), hints


def _idle_settings(settings: Settings) -> list[str]:
    """Routes that can never match, and what nothing follows from."""
    hints = []
    for name, domain in settings.outbound.domains.items():
        if not domain.dkim:
            hints.append(f"outbound.domains.{name}: no DKIM key; large receivers will not trust this mail")
    for number, route in enumerate(settings.inbound.routes):
        to = route.match.to
        if to and "*" not in to.rpartition("@")[2] and to.rpartition("@")[2] not in settings.inbound.domains:
            hints.append(f"inbound.routes[{number}].match.to: {to} is not in inbound.domains, so no mail gets there")
    for name, channel in settings.mailboxes.items():
        if channel.handle is None and not any(
            route.match.to is None or matches(route.match.to, channel.recipient) for route in settings.inbound.routes
        ):
            hints.append(
                f"channels.{name}: no `handle`, and no route takes {channel.recipient}: what is found there is `rejected`"
            )
    offers = [name for name, stream in settings.outbound.streams.items() if stream.unsubscribe]
    if offers and not settings.console.public_url.startswith("https://"):
        hints.append(
            f"outbound.streams.{offers[0]}.unsubscribe: its links begin with {settings.console.base_url}; RFC 8058 asks for https: set "
            "console.public_url"
        )
    for quota in settings.outbound.quotas:
        if quota.domain not in settings.outbound.domains:
            hints.append(f"outbound.quotas: {quota.domain} is not under outbound.domains, so nothing is sent from it")
    return hints

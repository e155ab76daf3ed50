"""`mailscope dns`: the records to publish for the domains of the configuration, and whether they are published."""

import asyncio
import sys
from collections.abc import Iterator

import click

from commands.ask_api import settings_or_leave
from contracts.errors import ConfigurationError
from contracts.settings import Settings
from mail.authentication.dmarc_record import parse_dmarc
from mail.authentication.parse_key import parse_key
from mail.authentication.sign_dkim import read_signing_key
from mail.publish_records import DnsRecord, receiving_records, sending_records
from runtime.end_process import EX_CONFIG
from runtime.resolve_dns import DnsResolver

PUBLISHED = "published"
KEYS, REPORTS = "._domainkey.", "._report._dmarc."  # in the names of their records


@click.command()
@click.option(
    "--check", is_flag=True, help="Ask the configured name servers which of them are published; exit 1 when one is not."
)
def dns(check: bool) -> None:
    """Print the DNS records that the configured domains need, as lines of a zone."""
    settings = settings_or_leave()
    try:
        records = list(wanted_records(settings))
    except ConfigurationError as error:
        click.echo(f"mailscope: {error}", err=True)
        sys.exit(EX_CONFIG)
    if not records:
        click.echo("no domain is configured: see inbound.domains and outbound.domains", err=True)
        return
    answers = asyncio.run(_look_up(settings, records)) if check else [""] * len(records)
    for record, answer in zip(records, answers, strict=True):
        click.echo(f"; {record.why}{f': {answer}' if answer else ''}\n{record.as_zone_line()}")
    if check and any(answer != PUBLISHED for answer in answers):
        sys.exit(1)


def wanted_records(settings: Settings) -> Iterator[DnsRecord]:
    """The records of every configured domain, and the address of the host that sends. ConfigurationError when a key cannot be read, or a
    host has no name that others could look up."""
    for place, host, used in (
        ("authserv_id", settings.authserv_id, bool(settings.inbound.domains or settings.outbound.domains)),
        ("delivery.helo", settings.helo, bool(settings.outbound.domains)),
    ):
        if used and "." not in host:
            raise ConfigurationError(f"{place}: nobody finds '{host}' in DNS: name the host as others know it")
    sends = sorted(settings.outbound.domains)
    for domain in sorted({*settings.inbound.domains, *sends}):
        # A domain that only sends gets its bounces all the same: they come to addresses in it.
        yield from receiving_records(domain, settings.authserv_id)
    reports = next((one for one in settings.inbound.reports if one.startswith("dmarc")), "")
    for domain in sends:
        keys = [
            (key.selector, read_signing_key(key.key_file, f"outbound.domains.{domain}").key_record())
            for key in settings.outbound.domains[domain].dkim
        ]
        yield from sending_records(domain, settings.helo, keys, reports)


async def _look_up(settings: Settings, records: list[DnsRecord]) -> list[str]:
    resolver = DnsResolver(settings.dns.nameservers, timeout=settings.dns.timeout.total_seconds())
    return list(await asyncio.gather(*(_state(record, resolver) for record in records)))


async def _state(record: DnsRecord, resolver: DnsResolver) -> str:
    answer = await resolver.query(record.name, record.kind)
    if answer.failed:
        return f"not known ({answer.status.value})"
    if record.kind == "MX":
        found = [f"{preference} {host}." for preference, host in answer.exchanges()]
        hosts = [one.partition(" ")[2].lower() for one in found]
        good = record.value.partition(" ")[2].lower() in hosts
    else:
        texts = [text.decode("utf-8", "replace") for text in answer.texts()]
        version = record.value.partition(" ")[0].rstrip(";").lower()
        # A key may leave its version out (RFC 6376 section 3.6.1).
        found = [text for text in texts if KEYS in record.name or text.lower().startswith(version)]
        if len(found) > 1 and KEYS not in record.name:  # RFC 7208 section 4.5, RFC 9989 section 4.10
            return f"published {len(found)} times, so that none counts: {', '.join(found)[:200]}"
        good = any(_says(record, text) for text in found)
    if good:
        return PUBLISHED
    return f"published otherwise: {', '.join(found)[:200]}" if found else "not published"


def _says(record: DnsRecord, text: str) -> bool:
    """Whether what is published does what the record is for: the very key; a policy of any strength; leave to report; SPF, whoever else it
    names."""
    if KEYS in record.name:
        return parse_key(text.encode()).key == parse_key(record.value.encode()).key
    if record.name.startswith("_dmarc."):
        policy = parse_dmarc(text)
        return policy is not None and policy.usable
    if REPORTS in record.name:
        return True
    return record.value.split()[1].lower() in text.lower()

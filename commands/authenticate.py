"""`mailscope authenticate` and `mailscope check-domain`: the same functions, for people and scripts."""

import asyncio
import sys
from datetime import datetime
from typing import Any, BinaryIO

import click
import msgspec

from contracts.auth_results import AuthResults
from contracts.errors import ConfigurationError
from contracts.setting_types import is_address
from mail.authentication import ReceivedMail, authenticate
from mail.authentication.check_domain import check_domain
from mail.authentication.domain_report import DomainReport
from runtime.fetch_policy import policy_fetcher
from runtime.load_settings import load_settings
from runtime.resolve_dns import DnsResolver


class Moment(click.ParamType):
    """Unix seconds or RFC 3339."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(value)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(str(value)).astimezone().timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither Unix seconds nor an RFC 3339 time", param, ctx)


def _resolver(nameservers: tuple[str, ...], timeout: float) -> DnsResolver:
    """Of these servers, else of those that the settings name, else of the system's."""
    try:
        return DnsResolver(list(nameservers) or load_settings().dns.nameservers, timeout=timeout)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error
    except Exception as error:  # dnspython's own error where the system names no resolver
        raise click.UsageError(f"no name server: {error}") from error


_NAMESERVER = click.option(
    "--nameserver", "nameservers", multiple=True, metavar="HOST:PORT", help="Ask this server, not that of the settings."
)
_TIMEOUT = click.option("--dns-timeout", default=5.0, show_default=True, help="Seconds for one look-up.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _address(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value and not is_address(value):
        raise click.BadParameter(f"{value} is no IP address")
    return value


@click.command("authenticate")
@click.argument("file", type=click.File("rb"))
@click.option("--peer", default="", metavar="IP", callback=_address, help="Address of the host that sent the mail.")
@click.option("--helo", default="", metavar="NAME", help="What it said in HELO or EHLO.")
@click.option(
    "--envelope-from",
    "--mail-from",
    default="",
    metavar="ADDRESS",
    help="Envelope sender; empty or <> for the null sender.",
)
@click.option("--authserv-id", default="", metavar="NAME", help="Our own name in Authentication-Results.")
@click.option("--now", type=Moment(), default=None, help="Judge as of this time: Unix seconds or RFC 3339.")
@_NAMESERVER
@_TIMEOUT
@_JSON
def authenticate_command(
    file: BinaryIO,
    peer: str,
    helo: str,
    envelope_from: str,
    authserv_id: str,
    now: float | None,
    nameservers: tuple[str, ...],
    dns_timeout: float,
    as_json: bool,
) -> None:
    """Authenticate the message in FILE (- for standard input): SPF, DKIM, DMARC, ARC, iprev.

    Exits 0 whatever the result, 2 where it could not run."""
    sender = envelope_from.strip().removeprefix("<").removesuffix(">")
    try:
        mail = ReceivedMail(file.read(), peer.strip("[]"), helo, sender, authserv_id, now)
    except OSError as error:
        raise click.UsageError(f"the message cannot be read: {error.strerror}") from error
    results = asyncio.run(authenticate(mail, _resolver(nameservers, dns_timeout)))
    click.echo(_to_json(to_document(results)) if as_json else describe_results(results))


@click.command("check-domain")
@click.argument("domain")
@click.option("--selector", "selectors", multiple=True, metavar="NAME", help="A DKIM selector that signs.")
@click.option("--fetch/--no-fetch", default=True, help="Fetch the MTA-STS policy over HTTPS.")
@_NAMESERVER
@_TIMEOUT
@_JSON
def check_domain_command(
    domain: str,
    selectors: tuple[str, ...],
    fetch: bool,
    nameservers: tuple[str, ...],
    dns_timeout: float,
    as_json: bool,
) -> None:
    """Check what DOMAIN publishes for mail (SPF, DKIM, DMARC, MX, MTA-STS) and say how to fix what is wrong.

    Exits 0 whatever the result, 2 where it could not run."""
    resolver = _resolver(nameservers, dns_timeout)

    async def run() -> DomainReport:
        return await check_domain(domain, resolver, selectors, policy_fetcher(resolver) if fetch else None)

    report = asyncio.run(run())
    click.echo(_to_json(report) if as_json else describe_report(report))


def to_document(results: AuthResults) -> dict[str, Any]:
    """The results as a JSON document, with one word for each check in front."""
    words = {
        "spf": results.spf_word,
        "dkim": results.dkim_word,
        "dmarc": results.dmarc_word,
        "arc": results.arc_word,
        "iprev": results.iprev_word,
    }
    return {"words": words, **msgspec.to_builtins(results)}


def describe_results(results: AuthResults) -> str:
    """Results for reading: one block a check, with cause and cure under what did not pass."""
    lines = [f"from     {results.header_from or '-'}"]
    lines += _block("spf", results.spf_word, results.spf.domain, results.spf.cause, results.spf.cure)
    if not results.dkim:
        lines += _block("dkim", results.dkim_word, "not signed", "", "")
    for one in results.dkim:
        evidence = f"d={one.domain} s={one.selector} {one.algorithm} {one.key_bits or '?'} bits"
        lines += _block("dkim", one.result.value, evidence, one.cause, one.cure)
    dmarc = results.dmarc
    evidence = f"{dmarc.domain or '-'} policy={dmarc.policy}" if dmarc.record else dmarc.domain or "-"
    lines += _block("dmarc", results.dmarc_word, evidence, dmarc.cause, dmarc.cure)
    if dmarc.rfc7489 is not None:
        lines.append(f"         RFC 7489: {dmarc.rfc7489.result} policy={dmarc.rfc7489.policy}")
    lines += _block("arc", results.arc_word, f"i={results.arc.instances}", results.arc.cause, results.arc.cure)
    lines += _block("iprev", results.iprev_word, results.iprev.domain, results.iprev.cause, results.iprev.cure)
    if results.flags:
        lines.append(f"flags    {', '.join(results.flags)}")
    return "\n".join(line if line.isprintable() else ascii(line)[1:-1] for line in lines)


def describe_report(report: DomainReport) -> str:
    """A report for reading."""
    lines = [report.domain]
    for finding in report.findings:
        lines.append(f"{finding.level:8} {finding.check:8} {finding.text}")
        lines += [f"{'':17} {text}" for text in (finding.cure, finding.record) if text]
    return "\n".join(line if line.isprintable() else ascii(line)[1:-1] for line in lines)


def _block(check: str, word: str, evidence: str, cause: str, cure: str) -> list[str]:
    return [f"{check:8} {word:10} {evidence}".rstrip(), *(f"{'':8} {text}" for text in (cause, cure) if text)]


def _to_json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


if __name__ == "__main__":
    sys.exit(click.Group(commands=[authenticate_command, check_domain_command]).main())

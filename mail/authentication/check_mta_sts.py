"""Check MTA-STS and TLS reporting of a domain (RFC 8461, RFC 8460)."""

from collections.abc import Awaitable, Callable

from contracts.dns_answers import DnsAnswer, Resolver
from mail.authentication.domain_report import Finding, Level
from mail.authentication.parse_tags import TagError, parse_tags
from mail.sts_policy import parse_policy

Fetch = Callable[[str], Awaitable[str]]  # host → the policy's text; raises OSError with the cause


async def check_mta_sts(domain: str, resolver: Resolver, fetch: Fetch | None) -> list[Finding]:
    """The TXT record, the policy behind it where `fetch` is given, and the address for TLS reports."""
    records = _starting(await resolver.query(f"_mta-sts.{domain}", "TXT"), b"v=STSv1")
    if not records:
        cure = "Publish an MTA-STS policy, so that nobody on the way can turn encryption off."
        return [Finding("mta-sts", Level.WARNING, "No MTA-STS record.", cure)]
    if len(records) > 1:
        text = f"_mta-sts.{domain} holds more than one record: senders ignore all of them."
        return [Finding("mta-sts", Level.ERROR, text, "Keep exactly one.")]
    text = records[0].decode("ascii", "replace")
    try:
        usable = bool(parse_tags(records[0]).get("id"))
    except TagError:
        usable = False
    if not usable:
        return [Finding("mta-sts", Level.ERROR, "The MTA-STS record has no id=.", "Add id=.", text)]
    findings = [Finding("mta-sts", Level.OK, "The MTA-STS record is right.", record=text)]
    if fetch is not None:
        findings.append(await _check_policy(domain, resolver, fetch))
    if not _starting(await resolver.query(f"_smtp._tls.{domain}", "TXT"), b"v=TLSRPTv1"):
        cure = f"Publish `v=TLSRPTv1; rua=mailto:…` at _smtp._tls.{domain}."
        findings.append(Finding("mta-sts", Level.WARNING, "No reports about TLS are asked for.", cure))
    return findings


async def _check_policy(domain: str, resolver: Resolver, fetch: Fetch) -> Finding:
    where = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
    try:
        policy = await fetch(f"mta-sts.{domain}")
    except OSError as error:
        return Finding("mta-sts", Level.ERROR, f"{where} cannot be fetched: {error}.", "Serve it over HTTPS.")
    found = parse_policy(policy)
    if found is None:
        return Finding("mta-sts", Level.ERROR, f"{where} is no valid policy.", "It needs version, mode, mx, max_age.")
    exchanges = [host for _, host in (await resolver.query(domain, "MX")).exchanges()]
    missing = [host for host in exchanges if not found.covers(host)]
    if missing and found.mode != "none":
        text = f"The policy does not name the MX {missing[0]}: senders that follow it cannot deliver there."
        return Finding("mta-sts", Level.ERROR, text, f"Add `mx: {missing[0]}` and change the record's id=.")
    if found.mode != "enforce":
        return Finding("mta-sts", Level.WARNING, f"The policy's mode is {found.mode}.", "Raise it to enforce.")
    return Finding("mta-sts", Level.OK, "The policy covers every MX and is enforced.")


def _starting(answer: DnsAnswer, version: bytes) -> list[bytes]:
    return [text for text in answer.texts() if text.split(b";")[0].strip() == version]

"""Check what a domain publishes for mail: SPF, DKIM, DMARC, MX, MTA-STS. What is wrong, and how to fix it.

Always returns a report; DNS trouble is a finding."""

import ipaddress

from contracts.auth_results import AuthReason, DmarcPolicy, SpfWord, cut
from contracts.dns_answers import DnsAnswer, DnsStatus, Resolver
from mail.authentication.check_mta_sts import Fetch, check_mta_sts
from mail.authentication.check_spf import evaluate_spf
from mail.authentication.domain_report import DomainReport, Finding, Level
from mail.authentication.parse_key import parse_key
from mail.authentication.walk_tree import TreeWalk, WalkFailed
from mail.parse_addresses import to_ascii_domain

# Selectors of the common senders, tried where none is named.
COMMON_SELECTORS = ("default", "dkim", "mail", "s1", "s2", "k1", "k2", "google", "selector1", "selector2")
NOBODY = "192.0.2.1"  # an address of the documentation range: no record should allow it (RFC 5737)
ADVISED_BITS = 2048


async def check_domain(
    domain: str, resolver: Resolver, selectors: tuple[str, ...] = (), fetch: Fetch | None = None
) -> DomainReport:
    """`fetch` gets the MTA-STS policy over HTTPS; without it only DNS is asked."""
    name = to_ascii_domain(domain)
    if "." not in name:
        return DomainReport(domain, (Finding("domain", Level.ERROR, f"{cut(domain, 100)!r} is no domain name."),))
    findings = await _check_mx(name, resolver)
    findings += await _check_spf(name, resolver)
    findings += await _check_dkim(name, resolver, selectors)
    findings += await _check_dmarc(name, resolver)
    findings += await check_mta_sts(name, resolver, fetch)
    return DomainReport(name, tuple(findings))


async def _check_mx(domain: str, resolver: Resolver) -> list[Finding]:
    answer = await resolver.query(domain, "MX")
    if answer.failed:
        return [_failed("mx", answer)]
    exchanges = answer.exchanges()
    if answer.status is DnsStatus.NXDOMAIN:
        return [Finding("mx", Level.ERROR, f"{domain} does not exist.", "Register it, or correct its delegation.")]
    if not exchanges:
        cure = f"Publish MX records, or a null MX (`0 .`) if {domain} takes no mail."
        return [Finding("mx", Level.WARNING, f"{domain} has no MX record.", cure)]
    if exchanges == [(0, "")]:
        return [Finding("mx", Level.OK, f"{domain} takes no mail (null MX).")]
    findings = [Finding("mx", Level.OK, ", ".join(f"{preference} {host}" for preference, host in exchanges[:5]))]
    for _, host in exchanges[:10]:
        findings += await _check_exchange(host, resolver)
    return findings


async def _check_exchange(host: str, resolver: Resolver) -> list[Finding]:
    cure = "Let the MX record name a host that has address records of its own (RFC 5321 §5.1)."
    try:
        ipaddress.ip_address(host)
        return [Finding("mx", Level.ERROR, f"MX names the address {host} instead of a host.", cure)]
    except ValueError:
        pass
    if (await resolver.query(host, "CNAME")).values():
        return [Finding("mx", Level.WARNING, f"The MX host {host} is an alias.", cure)]
    answers = [await resolver.query(host, "A"), await resolver.query(host, "AAAA")]
    if any(answer.values() for answer in answers):
        return []
    failed = next((answer for answer in answers if answer.failed), None)
    return [_failed("mx", failed) if failed else Finding("mx", Level.ERROR, f"{host} has no address.", cure)]


async def _check_spf(domain: str, resolver: Resolver) -> list[Finding]:
    known: dict[tuple[str, str], DnsAnswer] = {}
    outcome = await evaluate_spf(NOBODY, f"postmaster@{domain}", domain, resolver, "", 0.0, known)
    record = outcome.record
    if outcome.reason is AuthReason.SPF_NO_RECORD:
        cure = f"Publish `v=spf1 … -all` at {domain}; `v=spf1 -all` if it sends no mail."
        return [Finding("spf", Level.ERROR, f"{domain} publishes no SPF record.", cure)]
    if outcome.word is SpfWord.TEMPERROR:
        return [Finding("spf", Level.ERROR, f"DNS failed: {outcome.detail}.", "Check the name servers.", record)]
    if outcome.word is SpfWord.PERMERROR:
        text = outcome.detail.removeprefix("SPF Permanent Error: ")
        return [Finding("spf", Level.ERROR, f"The record is broken: {text}.", "Correct that term.", record)]
    findings = [Finding("spf", Level.OK, f"{outcome.lookups} of 10 look-ups used.", record=record)]
    if outcome.word is SpfWord.PASS:
        findings.append(Finding("spf", Level.ERROR, "Every host may send.", "End with -all, not +all.", record))
    elif outcome.word is SpfWord.NEUTRAL:
        text = "Hosts that are not named are neither allowed nor denied."
        findings.append(Finding("spf", Level.WARNING, text, "End the record with ~all or -all.", record))
    if outcome.lookups > 8:
        text = f"{outcome.lookups} of 10 look-ups are used: the next include breaks it."
        findings.append(Finding("spf", Level.WARNING, text, "Remove includes that are no longer used."))
    if any(term.lstrip("+-~?").split(":")[0] == "ptr" for term in record.lower().split()):
        findings.append(Finding("spf", Level.WARNING, "ptr is slow and deprecated.", "Name hosts by ip4, ip6 or a."))
    return findings


async def _check_dkim(domain: str, resolver: Resolver, selectors: tuple[str, ...]) -> list[Finding]:
    findings = []
    for selector in selectors or COMMON_SELECTORS:
        name = f"{selector}._domainkey.{domain}"
        answer = await resolver.query(name, "TXT")
        if answer.failed:
            findings.append(_failed("dkim", answer))
        elif answer.texts():
            findings += [_judge_key(name, record) for record in answer.texts()[:2]]
        elif selectors:
            cure = f"Publish the public key as a TXT record at {name}."
            findings.append(Finding("dkim", Level.ERROR, f"There is no key at {name}.", cure))
    if findings:
        return findings
    text = "No key found under the selectors of common senders."
    return [Finding("dkim", Level.WARNING, text, "Name the selectors that sign: --selector NAME.")]


def _judge_key(name: str, published: bytes) -> Finding:
    key = parse_key(published)
    record = cut(published.decode("ascii", "replace"), 256)
    if key.reason is not AuthReason.OK:
        return Finding(
            "dkim", Level.ERROR, f"The key at {name} is unusable: {key.detail}.", "Publish it again.", record
        )
    if key.kind == "rsa" and key.bits < ADVISED_BITS:
        cure = f"Make a key of {ADVISED_BITS} bits under a new selector."
        return Finding("dkim", Level.WARNING, f"The key at {name} has only {key.bits} bits.", cure, record)
    if key.testing:
        return Finding("dkim", Level.WARNING, f"The key at {name} is in test mode.", "Remove t=y.", record)
    return Finding("dkim", Level.OK, f"{name}: {key.kind}, {key.bits} bits.", record=record)


async def _check_dmarc(domain: str, resolver: Resolver) -> list[Finding]:
    walk = TreeWalk(resolver)
    try:
        own = await walk.record_at(domain)
        place, record = domain, own
        if own is None:
            place = await walk.organizational(domain)
            record = await walk.record_at(place)
    except WalkFailed as failed:
        return [Finding("dmarc", Level.ERROR, f"DNS failed: {failed}.", "Check the name servers.")]
    if domain in walk.multiple:
        text = f"_dmarc.{domain} holds more than one record: receivers ignore all of them."
        return [Finding("dmarc", Level.ERROR, text, "Keep exactly one.")]
    if record is None:
        cure = f"Publish `v=DMARC1; p=none; rua=mailto:…` at _dmarc.{domain}, and raise p once the reports are clean."
        return [Finding("dmarc", Level.ERROR, f"No DMARC record applies to {domain}.", cure)]
    text = cut(record.text, 512)
    if not record.usable:
        return [Finding("dmarc", Level.ERROR, "The record has no valid p=.", "Add p=none|quarantine|reject.", text)]
    policy = record.p if place == domain or record.sp is None else record.sp
    findings = [Finding("dmarc", Level.OK, f"Policy {policy} from _dmarc.{place}.", record=text)]
    if policy is DmarcPolicy.NONE:
        cure = "Raise it to quarantine or reject once the reports are clean."
        findings.append(Finding("dmarc", Level.WARNING, "p=none: forged mail is delivered.", cure))
    if record.testing:
        findings.append(Finding("dmarc", Level.WARNING, "t=y lowers the policy by one step.", "Remove t=y."))
    if not record.rua:
        findings.append(Finding("dmarc", Level.WARNING, "No reports are asked for.", "Add rua=mailto:…."))
    for target in dict.fromkeys(uri.rpartition("@")[2].split("!")[0].lower() for uri in record.rua if "@" in uri):
        findings += await _check_report_target(place, target, resolver)
    return findings


async def _check_report_target(domain: str, target: str, resolver: Resolver) -> list[Finding]:
    """Another organization has to agree to receive the reports (RFC 9990 §4)."""
    walk = TreeWalk(resolver)
    try:
        if await walk.organizational(target) == await walk.organizational(domain):
            return []
    except WalkFailed:
        return []
    name = f"{domain}._report._dmarc.{target}"
    answer = await resolver.query(name, "TXT")
    if answer.failed or any(text.lstrip().startswith(b"v=DMARC1") for text in answer.texts()):
        return []
    cure = f"Ask {target} to publish `v=DMARC1` at {name}."
    return [Finding("dmarc", Level.WARNING, f"{target} has not agreed to receive the reports.", cure)]


def _failed(check: str, answer: DnsAnswer) -> Finding:
    text = f"DNS answered {answer.status} for {answer.rtype} {cut(answer.name, 200)}."
    return Finding(check, Level.ERROR, text, "Check the name servers of the domain.")

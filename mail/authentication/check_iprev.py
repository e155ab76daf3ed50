"""Look the peer's address up in reverse and confirm the names forward (RFC 8601 §3).

Always returns a result. At most ten names are followed, as SPF's ptr does (RFC 7208 §4.6.4)."""

import ipaddress

from contracts.auth_results import AuthReason, IprevResult, IprevWord
from contracts.dns_answers import DnsAnswer, Resolver
from mail.authentication.evidence import to_evidence

MAX_NAMES = 10


async def check_iprev(peer_ip: str, resolver: Resolver) -> IprevResult:
    """`pass` where one of the address's names has the address."""
    try:
        address = ipaddress.ip_address(peer_ip)
    except ValueError:
        return IprevResult(IprevWord.PERMERROR, AuthReason.NO_PEER, peer_ip[:64])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    reverse = await resolver.query(address.reverse_pointer, "PTR")
    answers = [reverse]
    if reverse.failed:
        return _result(IprevWord.TEMPERROR, AuthReason.DNS_TEMPERROR, peer_ip, "", answers)
    names = reverse.values()[:MAX_NAMES]
    if not names:
        return _result(IprevWord.PERMERROR, AuthReason.IPREV_NO_NAME, peer_ip, "", answers)
    for name in names:
        answer = await resolver.query(name, "A" if address.version == 4 else "AAAA")
        answers.append(answer)
        if any(_same(value, address) for value in answer.values()):
            return _result(IprevWord.PASS, AuthReason.OK, peer_ip, name, answers)
    if any(answer.failed for answer in answers):
        return _result(IprevWord.TEMPERROR, AuthReason.DNS_TEMPERROR, peer_ip, names[0], answers)
    return _result(IprevWord.FAIL, AuthReason.IPREV_NO_MATCH, peer_ip, names[0], answers)


def _same(value: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return ipaddress.ip_address(value) == address
    except ValueError:
        return False


def _result(word: IprevWord, reason: AuthReason, peer_ip: str, name: str, answers: list[DnsAnswer]) -> IprevResult:
    return IprevResult(word, reason, peer_ip, name[:253], dns=to_evidence(answers))

"""What RFC 7489 says of the same mail: organizational domains from the public suffix list, no tree walk.

Kept beside the answer of RFC 9989 because receivers elsewhere still decide by it."""

from functools import lru_cache

from publicsuffixlist import PublicSuffixList

from contracts.auth_results import DkimResult, DkimWord, DmarcAnswer, DmarcWord, SpfResult, SpfWord
from mail.authentication.walk_tree import TreeWalk


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=10_000)
def suffix_organizational(domain: str) -> str:
    """One label below the public suffix (RFC 7489 §3.2); the domain itself where it is a public suffix."""
    return str(_suffixes().privatesuffix(domain) or domain)


async def answer_rfc7489(author: str, spf: SpfResult, dkim: list[DkimResult], walk: TreeWalk) -> DmarcAnswer:
    """RFC 7489 §6.6. Raises WalkFailed where DNS fails."""
    organizational = suffix_organizational(author)
    record_domain = author
    record = await walk.record_at(author)
    if record is None and organizational != author:
        record_domain = organizational
        record = await walk.record_at(organizational)
    if record is None or not record.usable:
        return DmarcAnswer(organizational_domain=organizational)
    policy = record.p if record_domain == author or record.sp is None else record.sp
    passed = _aligned(author, spf.domain, record.strict_spf) and spf.result is SpfWord.PASS
    passed = passed or any(
        one.result is DkimWord.PASS and _aligned(author, one.domain, record.strict_dkim) for one in dkim
    )
    word = DmarcWord.PASS if passed else DmarcWord.FAIL
    return DmarcAnswer(word, policy, record_domain, organizational, record.pct)


def _aligned(author: str, other: str, strict: bool) -> bool:
    if not other:
        return False
    return author == other or (not strict and suffix_organizational(author) == suffix_organizational(other))

"""Whether a key that signs is the one that DNS publishes (RFC 6376 section 3.6): what nobody can verify is refused or filed as spam."""

from contracts.dns_answers import Resolver
from mail.authentication.parse_key import parse_key
from mail.authentication.sign_dkim import SigningKey


async def key_fault(domain: str, selector: str, key: SigningKey, resolver: Resolver) -> str | None:
    """What is wrong with a key, in one sentence; "" when nothing is, None when DNS does not say."""
    name = f"{selector}._domainkey.{domain}"
    answer = await resolver.query(name, "TXT")
    if answer.failed:
        return None
    published = answer.texts()
    if not published:
        return f"our key {selector} of {domain} is not published: there is no TXT record at {name}"
    ours = parse_key(key.key_record().encode()).key
    if not any(parse_key(text).key == ours for text in published):
        return f"our key {selector} of {domain} is not the one that DNS publishes at {name}"
    return ""

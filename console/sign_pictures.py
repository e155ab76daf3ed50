"""Links to the pictures of a mail. The sandbox that shows its HTML has no origin, so a browser sends no cookie from it: the link itself
says who asks, for one mail and for a while. What it is worth is looked up each time, so it ends with its token or session."""

import hmac
from datetime import timedelta

from console.tokens import Principal, Tokens
from contracts import clock

LASTS = timedelta(minutes=10)


def picture_ticket(tokens: Tokens, principal: Principal, mail_id: str) -> str:
    """What a link of this principal to a picture of this mail carries, safe in a URL."""
    expires = clock.to_ms(clock.now() + LASTS)
    return f"{principal.id}.{expires}.{_seal(tokens, principal.id, mail_id, expires)}"


def check_ticket(tokens: Tokens, ticket: str, mail_id: str) -> Principal | None:
    """Whose link it is; None when it is forged, over, or for another mail, or when its token or session has ended."""
    id, _, rest = ticket[:200].partition(".")
    expires, _, seal = rest.partition(".")
    if not (expires.isascii() and expires.isdigit()) or int(expires) <= clock.to_ms(clock.now()):
        return None
    principal = tokens.find_id(id)
    if principal is None or not hmac.compare_digest(seal.encode(), _seal(tokens, id, mail_id, int(expires)).encode()):
        return None
    return principal


def _seal(tokens: Tokens, id: str, mail_id: str, expires: int) -> str:
    return hmac.digest(tokens.secret(id), f"picture\0{id}\0{mail_id}\0{expires}".encode(), "sha256").hex()

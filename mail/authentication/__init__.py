"""Authentication of one mail: SPF, DKIM, DMARC, ARC and iprev, each explained.

The public function is `await authenticate(mail, resolver) -> AuthResults`."""

from mail.authentication.authenticate import Mail, authenticate

__all__ = ["Mail", "authenticate"]

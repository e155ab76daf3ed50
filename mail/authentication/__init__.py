"""Authentication of one mail: SPF, DKIM, DMARC, ARC and iprev, each explained.

The public function is `await authenticate(mail, resolver) -> AuthResults`."""

from mail.authentication.authenticate import authenticate
from mail.authentication.run_checks import ReceivedMail

__all__ = ["ReceivedMail", "authenticate"]

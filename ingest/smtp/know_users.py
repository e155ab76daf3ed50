"""Who may submit: the users of `outbound.credentials` and their passwords."""

import hmac
from collections.abc import Sequence

from contracts.errors import ConfigurationError
from contracts.settings import Credential


class Logins:
    """The users, with their passwords and domains. ConfigurationError when a password cannot be read."""

    def __init__(self, credentials: Sequence[Credential]) -> None:
        self._passwords = {one.user: _read_password(one, number) for number, one in enumerate(credentials)}
        self._domains = {one.user: frozenset(one.domains) for one in credentials}

    def knows(self, user: str, password: bytes) -> bool:
        """Whether this is the user's password. Takes as long for a user that there is not."""
        known = self._passwords.get(user, b"")
        return hmac.compare_digest(known, password) and bool(known)

    def domains(self, user: str) -> frozenset[str]:
        """The domains that the user may send from."""
        return self._domains.get(user, frozenset())


def _read_password(credential: Credential, number: int) -> bytes:
    try:
        lines = credential.password_file.read_bytes().splitlines()
    except OSError as error:
        place = f"outbound.credentials[{number}].password_file"
        raise ConfigurationError(f"{place}: {credential.password_file} cannot be read: {error.strerror}") from error
    if not lines or not lines[0].strip():
        raise ConfigurationError(f"outbound.credentials[{number}].password_file: its first line is empty")
    return lines[0].strip()

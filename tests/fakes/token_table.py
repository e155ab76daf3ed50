"""The table of tokens without Kafka."""

from console.tokens import hash_token, new_session, new_token, principal_of
from contracts import clock
from contracts.codec import decode
from contracts.records import Place, Record
from contracts.shared_state import Token


class TokenTable:
    """Holds what it is given. `why_not_ready` is the test's to set."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}
        self.version = 0
        self.why_not_ready = ""

    def put(self, token: Token) -> None:
        self.tokens[token.id] = token
        self.version += 1

    def create(self, name: str, scopes: list[str], domains: list[str], *, masked: bool = False) -> str:
        """A token that is known from now on."""
        text, token = new_token(name, scopes, domains, masked=masked)
        self.put(token)
        return text

    def log_in(self, text: str) -> str:
        """The cookie of a session of this token."""
        (token,) = [one for one in self.tokens.values() if one.sha256 == hash_token(text)]
        cookie, session = new_session(principal_of(token), clock.now())
        self.put(session)
        return cookie

    async def publish_at(self, record: Record) -> Place:
        if record.value is None:
            self.tokens.pop(record.key, None)
            self.version += 1
        else:
            self.put(decode(record.value, Token))
        return 0, self.version

    async def read_up_to(self, place: Place) -> None:
        pass

    def snapshot(self) -> dict[str, Token]:
        return dict(self.tokens)

"""The table of tokens without Kafka."""

from console.tokens import new_token
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

    def create(self, name: str, scopes: list[str], domains: list[str]) -> str:
        """A token that is known from now on."""
        text, token = new_token(name, scopes, domains)
        self.put(token)
        return text

    def snapshot(self) -> dict[str, Token]:
        return dict(self.tokens)

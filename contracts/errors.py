"""The two kinds of error that a stage knows. Anything else is a bug: it stops the stage loudly, and the work is replayed."""


class InvalidEvent(Exception):
    """These bytes will never be understood: do not retry, keep them in the dead letters (`reason` is one machine word)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unavailable(Exception):
    """Something that we depend on does not answer: stop, do not commit, try again later (`what` names it)."""

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(f"{what} is unavailable: {detail}" if detail else f"{what} is unavailable")
        self.what = what
        self.detail = detail


class ConfigurationError(Exception):
    """The configuration cannot be used; the message says which key, which value, and what would be right."""

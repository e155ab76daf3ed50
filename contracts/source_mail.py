"""What the log knows of a mail that another server delivers: asked by `ingest/attempts/`, answered by the console."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SourceMail:
    """A mail, found by its server's own name of it."""

    mail_id: str
    attempts: dict[str, int] = field(default_factory=dict)  # by recipient

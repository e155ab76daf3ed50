"""What a server said when it refused a mail, in a dialogue or in a report about one: all that a classification looks at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """One refusal. What is not known is empty, and decides nothing."""

    text: str = ""  # as it was said
    code: int = 0  # reply code (RFC 5321); 0 is none
    enhanced_code: str = ""  # enhanced status code (RFC 3463), such as 5.1.1
    command: str = ""  # the SMTP command that was answered: connect, EHLO, STARTTLS, MAIL, RCPT, DATA or end-of-data
    host: str = ""  # name of the server that said it
    temporary: bool = False  # it may work later: a 4xx reply, a delay

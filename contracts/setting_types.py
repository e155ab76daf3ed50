"""The types that a value in mailscope.yaml may have beyond those of YAML: durations, sizes, secrets, patterns, replies."""

import binascii
import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|kB|KB|MB|GB)?$")
_OCTETS = {
    None: 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_REPLY = re.compile(r"^(?P<code>[45]\d\d) (?P<enhanced>[45]\.\d{1,3}\.\d{1,3}) (?P<text>[\x20-\x7e]{1,400})$")


def parse_duration(value: object) -> timedelta:
    """`500ms`, `10s`, `5m`, `2h`, `3d`; a bare number is refused, since nobody knows its unit."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write a number with a unit: 500ms, 10s, 5m, 2h or 3d")
    try:
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
    except OverflowError:
        raise ValueError("that is longer than anybody waits") from None


def format_duration(value: timedelta) -> str:
    """The shortest exact spelling of a duration."""
    milliseconds = round(value.total_seconds() * 1000)
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms"


def parse_size(value: object) -> int:
    """Octets: `262144`, `256KiB`, `10MiB`, `25MB`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write a size such as 262144, 256KiB or 10MiB")
    return int(float(match[1]) * _OCTETS[match[2]])


def parse_reply(value: object) -> str:
    """An SMTP refusal with its enhanced status code (RFC 5321 section 4.2, RFC 3463), such as `550 5.7.1 not wanted`."""
    match = _REPLY.match(value) if isinstance(value, str) else None
    if match is None or match["code"][0] != match["enhanced"][0]:
        raise ValueError('write a refusal such as "550 5.7.1 not wanted"')
    return str(value)


def parse_domain(value: object) -> str:
    """A domain name, lower-cased."""
    if not isinstance(value, str) or not re.match(r"^(?=.{1,253}$)[^\s@*/]+(\.[^\s@*/]+)*$", value):
        raise ValueError("write a domain name such as example.com")
    return value.lower().rstrip(".")


def parse_address(value: object) -> str:
    """One mail address, `local@domain`."""
    if not isinstance(value, str) or not re.match(r"^[^\s@<>]+@[^\s@<>]+$", value):
        raise ValueError("write an address such as team@example.com")
    return value


def parse_pattern(value: object) -> str:
    """An address or a pattern of one: `*` stands for any run of characters."""
    if not isinstance(value, str) or not value or any(c.isspace() for c in value):
        raise ValueError("write an address or a pattern such as *@example.com")
    return value.lower()


def is_address(text: str) -> bool:
    """Whether this is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(server: str) -> bool:
    """Whether a server, written as `host:port`, is on this machine by its name."""
    host = server.strip().removeprefix("PLAINTEXT://").rpartition(":")[0].strip("[]").lower()
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_embedded_kafka(bootstrap: str) -> bool:
    """Whether these bootstrap servers are the one broker that `mailscope up` runs itself: one server, on this machine."""
    return "," not in bootstrap and is_loopback(bootstrap)


def parse_servers(value: str) -> str:
    """Servers with commas between; spaces around them and empty ones do not count."""
    return ",".join(name for one in value.split(",") if (name := one.strip()))


def split_smarthost(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `192.0.2.1:25`, `[2001:db8::1]:25`. ValueError for anything else."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+))(?::(\d{1,5}))?", text)
    if is_address(text):
        return text, None
    if match is None or (match[3] and not 1 <= int(match[3]) <= 65535):
        raise ValueError("write host, host:port or [address]:port")
    return match[1] or match[2], int(match[3]) if match[3] else None


def parse_smarthost(value: object) -> str:
    """A smarthost, as `split_smarthost` reads it."""
    if not isinstance(value, str):
        raise ValueError("write host, host:port or [address]:port")
    split_smarthost(value)
    return value


@dataclass(frozen=True)
class MailboxPlace:
    """Where a mailbox is."""

    tls: bool
    user: str
    host: str
    port: int
    folder: str

    @property
    def address(self) -> str:
        """The user as a mail address."""
        return self.user if "@" in self.user else f"{self.user}@{self.host}"


_MAILBOX = re.compile(r"(imaps?)://([^/\s]+)@(?:\[([0-9A-Fa-f:.]+)\]|([^\s/:@\[\]]+))(?::(\d{1,5}))?(?:/(\S*))?")
_HOW_A_MAILBOX = "write imaps://user@host, imaps://user@host:993/Folder (what is special in a name as %20)"


def split_mailbox(url: str) -> MailboxPlace:
    """`imaps://user@host[:port][/folder]`; the folder is INBOX where none is named. ValueError for anything else, and for a connection
    without TLS to another machine."""
    match = _MAILBOX.fullmatch(url)
    if match is None:
        raise ValueError(_HOW_A_MAILBOX)
    tls, host = match[1] == "imaps", match[3] or match[4]
    port = int(match[5] or (993 if tls else 143))
    user, folder = _percent_decoded(match[2]), _percent_decoded(match[6] or "INBOX")
    if not 1 <= port <= 65535 or any(ord(character) < 32 for character in user + folder):
        raise ValueError(_HOW_A_MAILBOX)
    if not tls and host.lower() != "localhost" and not (is_address(host) and ipaddress.ip_address(host).is_loopback):
        raise ValueError(
            "without TLS the password would be read on the way: write imaps:// (imap:// is for this machine only)"
        )
    return MailboxPlace(tls, user, host, port, folder)


def parse_mailbox(value: object) -> str:
    """The place of a mailbox, as `split_mailbox` reads it."""
    if not isinstance(value, str):
        raise ValueError(_HOW_A_MAILBOX)
    split_mailbox(value)
    return value


def _percent_decoded(text: str) -> str:
    octets = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())
    return octets.decode("utf-8")  # UnicodeDecodeError is a ValueError


def parse_allowed(value: object) -> str:
    """An IP address, a network, or a domain name."""
    text = str(value)
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        if "/" in text or re.fullmatch(r"[\d.]+", text):
            raise ValueError("write an address, a network such as 192.0.2.0/24, or a domain") from None
        return parse_domain(text)
    return text


def parse_network(value: object) -> str:
    """An IP address or a network."""
    try:
        return str(ipaddress.ip_network(str(value), strict=False))
    except ValueError:
        raise ValueError("write an address, or a network such as 192.0.2.0/24") from None


class Secret:
    """A value that is never printed: `str()` and `repr()` show stars, `.reveal()` gives it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls._parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, str]:
        return {"type": "string", "format": "password"}

    @classmethod
    def _parse(cls, value: object) -> "Secret":
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str) or not value:
            raise ValueError("write the secret as a text")
        return cls(value)


def parse_webhook_secret(secret: Secret) -> Secret:
    """A secret of Standard Webhooks: `whsec_` and base64, padded or not. Its octets are what signs, so nothing is guessed."""
    text = secret.reveal().removeprefix("whsec_").rstrip("=")
    try:
        octets = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        octets = b""
    if not octets:
        raise ValueError("write whsec_ and base64, as Standard Webhooks asks")
    return secret


def _string(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [example]})


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str), _string("30s")
]
WebhookSecret = Annotated[Secret, AfterValidator(parse_webhook_secret)]
Size = Annotated[int, BeforeValidator(parse_size), _string("10MiB")]
MailboxUrl = Annotated[str, BeforeValidator(parse_mailbox), _string("imaps://desk@mail.example.net")]
Smarthost = Annotated[str, BeforeValidator(parse_smarthost), _string("relay.example.com:587")]
Allowed = Annotated[str, BeforeValidator(parse_allowed), _string("192.0.2.0/24")]
Servers = Annotated[str, AfterValidator(parse_servers)]
Network = Annotated[str, BeforeValidator(parse_network), _string("192.0.2.0/24")]
Reply = Annotated[str, BeforeValidator(parse_reply), _string("550 5.7.1 not wanted")]
Domain = Annotated[str, BeforeValidator(parse_domain), _string("example.com")]
Address = Annotated[str, BeforeValidator(parse_address), _string("team@example.com")]
Pattern = Annotated[str, BeforeValidator(parse_pattern), _string("*@example.com")]

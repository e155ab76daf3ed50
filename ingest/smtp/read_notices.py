"""The options of MAIL and RCPT that ask for reports about the delivery (RFC 3461 section 4): pure."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from contracts.notices import Notices

Options = Mapping[str, str]  # values by name in capitals
NO_OPTIONS: Options = MappingProxyType({})
OF_MAIL, OF_RECIPIENT = frozenset({"RET", "ENVID"}), frozenset({"NOTIFY", "ORCPT"})
MOST = {"RET": 4, "ENVID": 100, "NOTIFY": 28, "ORCPT": 500}  # characters (sections 4.1 to 4.4)
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # section 4
_HEX = re.compile(r"\+([0-9A-F]{2})")
_WANTED = frozenset({"SUCCESS", "FAILURE", "DELAY"})


def take_options(parameters: str, names: frozenset[str]) -> tuple[str, Options]:
    """(the parameters without those of these names, their values). One that is wrong stays where it is, for the server to refuse."""
    rest: list[str] = []
    found: dict[str, str] = {}
    for parameter in parameters.split():
        keyword, _, value = parameter.partition("=")
        name = keyword.upper()
        if name in names and name not in found and _is_right(name, value):
            found[name] = value
        else:
            rest.append(parameter)
    return " ".join(rest), found


def notices_of(of_mail: Options, of_recipient: Options) -> Notices | None:
    """What is asked for a recipient; None without NOTIFY, whoever gives none hears from the log alone."""
    wanted = of_recipient.get("NOTIFY", "NEVER").upper().split(",")
    if wanted == ["NEVER"]:
        return None
    return Notices(
        failure="FAILURE" in wanted,
        delay="DELAY" in wanted,
        success="SUCCESS" in wanted,
        envelope_id=_decode(of_mail.get("ENVID", "")),
        original_recipient=_decode(of_recipient.get("ORCPT", "")),
    )


def _is_right(name: str, value: str) -> bool:
    if not 0 < len(value) <= MOST[name]:
        return False
    if name == "RET":
        return value.upper() in ("FULL", "HDRS")
    if name == "NOTIFY":
        wanted = value.upper().split(",")
        return wanted == ["NEVER"] or (set(wanted) <= _WANTED and len(set(wanted)) == len(wanted))
    if _XTEXT.fullmatch(value) is None or not _decode(value).isprintable():
        return False
    kind, semicolon, address = value.partition(";")
    return name == "ENVID" or bool(kind.replace("-", "").isalnum() and semicolon and address)


def _decode(xtext: str) -> str:
    return _HEX.sub(lambda found: chr(int(found[1], 16)), xtext)

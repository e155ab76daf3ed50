"""The value and the parameters of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231). Linear, never raises."""

import re
from urllib.parse import unquote_to_bytes

from mail.decode_text import decode_charset, without_surrogates

MAX_PARAMETERS = 200
MAX_PARAMETER = 4000  # characters of one parameter that are kept

_VALUE = re.compile(r"[^\s;(]*+")
_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)|([^;]*+))', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def read_parameters(text: str) -> tuple[str, dict[str, str]]:
    """The unfolded field `text` as its value in lower case and its parameters, names in lower case, the first of each name."""
    match = _VALUE.match(text.lstrip())
    parameters: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(text):
        parameters.setdefault(
            name.lower(), (_QUOTED_PAIR.sub(r"\1", quoted) if quoted else plain.strip())[:MAX_PARAMETER]
        )
        if len(parameters) >= MAX_PARAMETERS:
            break
    return (match[0].lower() if match else ""), parameters


def find_parameter(parameters: dict[str, str], name: str) -> str:
    """One parameter, its extended form (`name*=utf-8''a%20b`) and its continuations (`name*0=`) put together; "" if none."""
    extended = parameters.get(f"{name}*")
    if extended is not None:
        return _decode(extended, encoded=True)
    if f"{name}*0" not in parameters and f"{name}*0*" not in parameters:
        return without_surrogates(parameters.get(name, ""))
    pieces: list[str] = []
    encoded = f"{name}*0*" in parameters
    while True:
        plain = parameters.get(f"{name}*{len(pieces)}")
        piece = plain if plain is not None else parameters.get(f"{name}*{len(pieces)}*")
        if piece is None:
            return _decode("".join(pieces)[:MAX_PARAMETER], encoded)
        pieces.append(piece.replace("%", "%25") if plain is not None and encoded else piece)


def _decode(text: str, encoded: bool) -> str:
    if not encoded:
        return without_surrogates(text)
    charset, quote, rest = text.partition("'")
    _, second, value = rest.partition("'")
    if not quote or not second:
        charset, value = "utf-8", text
    return decode_charset(unquote_to_bytes(value.encode("utf-8", "replace")), charset, MAX_PARAMETER)[0]

"""The address that was probably meant by one that we do not have: "did you mean support@…?". Pure."""

from collections.abc import Iterable

from contracts.settings import Settings
from mail.addresses import split_address

FARTHEST = 2  # letters that are wrong, missing, too many or swapped
PART = 3  # of the letters, one of so many may be wrong


def configured_addresses(settings: Settings) -> list[str]:
    """Whole addresses that this configuration takes mail for."""
    routed = [route.match.to for route in settings.inbound.routes if route.reject is None]
    channels = [channel.address for channel in settings.channels.values() if channel.imap is None]
    found = (one for one in [*routed, *channels, *settings.inbound.reports] if one and "*" not in one)
    return list(dict.fromkeys(found))


def nearest_address(address: str, known: Iterable[str]) -> str:
    """The one of `known` addresses in the same domain that differs least; "" where none is near, or two are equally so."""
    local, domain = split_address(address.lower())
    best, least, several = "", FARTHEST + 1, False
    for one in known:
        other, its_domain = split_address(one.lower())
        if its_domain != domain or other == local:
            continue
        found = distance(local, other, min(least, FARTHEST, len(other) // PART))
        if found is not None and found < least:
            best, least, several = one, found, False
        elif found is not None and found == least:
            several = True
    return "" if several else best


def distance(one: str, other: str, at_most: int) -> int | None:
    """How many letters have to be changed, put in, taken out or swapped with their neighbour (optimal string alignment); None for more
    than `at_most`, which is found out early."""
    if abs(len(one) - len(other)) > at_most:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, its in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > at_most and min(before) > at_most:
            return None
    return row[-1] if row[-1] <= at_most else None

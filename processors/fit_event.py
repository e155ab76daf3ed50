"""An event has to fit into one record, whatever its targets answered: pure."""

import msgspec

from contracts.codec import HEADERS, encode_mail_event
from contracts.cut_text import cut_text, octets_of
from contracts.events import MailEvent, decisive_answer
from processors.publish_events import SOURCE
from runtime.connect_kafka import MAX_RECORD

MOST = MAX_RECORD - sum(len(name) + len(value) for name, value in HEADERS)  # octets of JSON
_NOTE = 64  # octets that are kept free for the note of what is left out


def fit_event(event: MailEvent) -> MailEvent:
    """The event, with its targets' answers cut where one record would not hold them: the decisive one keeps all that fits, the others
    share the rest alike, and what was cut ends in an ellipsis. Targets that do not fit even without an answer are left out, and
    counted in `detail`. Only texts of targets are cut: an event that is too large without any target stays so."""
    if len(encode_mail_event(event, SOURCE)) <= MOST:
        return event
    room = MOST - _NOTE - len(encode_mail_event(msgspec.structs.replace(event, attempts=[]), SOURCE))
    decisive = _decisive(event)
    texts: dict[int, str] = {}  # of the targets that are kept, by their number
    for number in sorted(range(len(event.attempts)), key=lambda number: number != decisive):
        bare = len(msgspec.json.encode(msgspec.structs.replace(event.attempts[number], text=""))) + 1
        if bare <= room:
            texts[number] = event.attempts[number].text
            room -= bare
    # The shortest first: what it leaves of its share goes to the longer ones.
    order = sorted(texts, key=lambda number: (number != decisive, octets_of(texts[number])))
    for before, number in enumerate(order):
        texts[number] = cut_text(texts[number], room if number == decisive else room // (len(order) - before))
        room -= octets_of(texts[number])
    attempts = [msgspec.structs.replace(event.attempts[number], text=texts[number]) for number in sorted(texts)]
    left_out = len(event.attempts) - len(attempts)
    note = f" ({left_out} more targets are not shown)" if left_out else ""
    return msgspec.structs.replace(event, attempts=attempts, detail=event.detail + note)


def _decisive(event: MailEvent) -> int:
    """Which attempt the status follows from. One that came before this report's is not among them: then it is the last."""
    answer, last = decisive_answer(event), len(event.attempts) - 1
    if answer is None or answer is not event.bounce:
        return last
    alike = (
        number
        for number, one in enumerate(event.attempts)
        if (one.host, one.code) == (answer.host, answer.code) and one.text.startswith(answer.text)
    )
    return next(alike, last)

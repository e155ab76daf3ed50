"""What a message without machine-readable parts is: a bounce in words, an automatic answer, a challenge, or none of these."""

import re

from mail.decode_text import decode_words
from mail.parse_addresses import parse_addresses
from mail.parse_headers import Message
from mail.reports.report import MAX_SAID, ReportKind

_DAEMON = re.compile(
    r"(?:mailer|mail|mmdf|smtp)[-_. ]?(?:er)?[-_. ]?daemon|post[-_]?master|mail ?(?:delivery|admin|system|server|gateway)|mdaemon|"
    r"delivery (?:sub)?system|^bounces?[-+@]|^mailsystem|^mailadm",
    re.IGNORECASE,
)  # fmt: skip
_BOUNCE_SUBJECT = re.compile(
    r"undeliver|un-?delivered|deliver\w*.{0,40}(?:fail|status|problem|error|delay|issue|report|incomplete|subsystem|"
    r"unsuccess|not possible)|"
    r"fail\w*.{0,30}(?:deliver|notice|notification|mail|message)|non-?deliver|returned (?:mail|message|e-?mail)|returning|"
    r"return(?:ed)? to sender|"
    r"(?:mail|message|e-?mail)\b.{0,60}(?:fail|error|not (?:be )?(?:delivered|sent)|could not|cannot|rejected|bounced|blocked|"
    r"returned|problem|delayed)|"
    r"(?:could|can) ?not (?:be )?(?:send|sent|deliver)|unable to deliver|delivery (?:notification|error|warning)|warning: |rejected|"
    r"loop alert|退信|无法|失败|配信|送信(?:エラー|できま)|エラー|"
    r"unzustellbar|nicht zugestellt|zustell|non remis|échec|no se (?:ha )?(?:pudo|puede)|"
    r"mancat|недостав|не ?достав|niedostarcz|onbestelbaar|olevererbart|não entreg",
    re.IGNORECASE,
)  # fmt: skip
_AWAY_SUBJECT = re.compile(
    r"^(?:re: ?|aw: ?|sv: ?)?\W{0,4}(?:out[- ]of[- ](?:the[- ])?office|ooo\b|auto(?:matic|mated|"
    r"matisch\w*)?[- :]{0,3}(?:re(?:ply|spon\w+)|answer|antwort|acknowledg\w*)|"
    r"vacation|away\b|on (?:annual |sick |parental |maternity )?leave|on holiday|i(?: am|'m) (?:away|out|on)|abwesen|"
    r"réponse auto|absence|"
    r"respuesta auto|risposta auto|automatisch|autosvar|自動(?:返信|応答)|自动(?:回复|答复)|不在|автоответ|автоматический ответ|afwezig|"
    r"odpowiedź auto|fuori (?:sede|ufficio)|fuera de (?:la )?oficina|fora do escrit)",
    re.IGNORECASE,
)  # fmt: skip
_CHALLENGE = re.compile(
    r"(?:confirm|verify|authenti\w+|approve)\b.{0,80}(?:your (?:message|e-?mail|mail|address|identity)|"
    r"you are (?:a )?(?:human|person|real)|sender|delivery)|"
    r"(?:message|e-?mail|mail) (?:is |has been |was )?(?:held|pending|waiting|awaiting)\b.{0,80}(?:confirm|verif|approv|authori)|"
    r"(?:added to|on|join) (?:the |my |their )?(?:approved|allowed|safe|white) ?(?:sender)?s?[ -]?list|"
    r"challenge[-/ ]response|requires? (?:sender )?verification",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_CHALLENGE_HEADERS = frozenset(
    {b"x-boxbe-challenge", b"x-ask-version", b"x-tmda-fingerprint", b"x-spamarrest", b"x-challenge"}
)
_AWAY_HEADERS = frozenset(
    {b"x-autoreply", b"x-autorespond", b"x-autoresponse", b"x-mail-autoreply", b"x-autoreply-from"}
)
_REFUSED = re.compile(
    r"(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?![\d.])|(?:^|\s)[45][0-5]\d[ -]|undeliver|not (?:be )?deliver|unable to deliver|fail|error|"
    r"duplicated|blocked|delayed|postponed|unknown|refused|rejected|does not exist|returned|no such|quota|not found|expired",
    re.IGNORECASE,
)  # fmt: skip


_STRONG = re.compile(
    r"(?:could|can|was|were|has|have|did) ?not (?:be |been )?(?:deliver|reach|sen[dt]|accept)|undeliver|deliver\w* (?:has |"
    r"have )?(?:permanently )?fail|"
    r"fail\w* (?:to be |to )?deliver|unable to (?:be )?deliver|returned to (?:the )?sender|couldn't be delivered|"
    r"invalid (?:user|recipient)",
    re.IGNORECASE,
)
_REPLY = re.compile(r"(?:^|\s|[<(:>])[45][0-5]\d[ -](?:#?[245]\.\d{1,3}\.\d{1,3}|[^\d\s])")


def recognise(message: Message, words: str) -> ReportKind:
    """FREEFORM, AUTO_REPLY, CHALLENGE or NONE. An answer that says itself what it is counts before its author's name."""
    subject = decode_words(_first(message, b"subject"))[:998]
    names = {field.name for field in message.fields}
    submitted = _first(message, b"auto-submitted").partition(";")[0].partition("(")[0].strip().lower()
    daemon = _is_daemon(message)
    head = words[:MAX_SAID]
    if not daemon and (
        _AWAY_SUBJECT.search(subject) or names & _AWAY_HEADERS or _first(message, b"precedence").lower() == "auto_reply"
    ):
        return ReportKind.AUTO_REPLY
    automatic = submitted not in ("", "no") or _first(message, b"return-path").strip() == "<>"
    if names & _CHALLENGE_HEADERS or (automatic and not daemon and _CHALLENGE.search(f"{subject}\n{head}")):
        return ReportKind.CHALLENGE
    strong = _STRONG.search(head) is not None and (automatic or _REPLY.search(head) is not None)
    bounce = (
        strong
        or b"x-failed-recipients" in names
        or ((daemon or _BOUNCE_SUBJECT.search(subject)) and _REFUSED.search(f"{subject if daemon else ''}\n{head}"))
    )
    if bounce:
        return ReportKind.FREEFORM
    return ReportKind.AUTO_REPLY if submitted not in ("", "no") else ReportKind.NONE


def author_of(message: Message) -> str:
    """The address in From; "" where there is none."""
    return next((one.spec for field in message.all(b"from")[:1] for one in parse_addresses(field.text())), "")


def _is_daemon(message: Message) -> bool:
    author = decode_words(_first(message, b"from"))[:998]
    return any(_DAEMON.search(one) for one in (author.strip(), author_of(message)))


def _first(message: Message, name: bytes) -> str:
    return next((field.text() for field in message.all(name)), "").strip()

"""`mailscope classify`: what a bounce means, for people and scripts."""

from typing import Any, BinaryIO

import click
import msgspec

from contracts.events import Bounce
from mail.bounces.advice import ADVICE
from mail.bounces.classify import classify_reply
from mail.bounces.classify_finding import classify_finding
from mail.bounces.load_rules import COMMANDS
from mail.reports.read_reply import read_reply
from mail.reports.read_report import read_report
from mail.reports.report import Finding, Report, ReportKind
from runtime.log import printable


@click.command()
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--reply", metavar="TEXT", help="What a server answered, instead of a message: 550 5.1.1 User unknown.")
@click.option("--host", default="", metavar="NAME", help="The server that answered.")
@click.option("--command", default="", type=click.Choice(["", *sorted(COMMANDS)]), help="The command it answered to.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def classify(file: BinaryIO | None, reply: str | None, host: str, command: str, as_json: bool) -> None:
    """Say what a bounce means: the report in FILE (- for standard input), or one reply of a server.

    Exits 0 whatever the result, 2 where it could not run."""
    if (file is None) == (reply is None):
        raise click.UsageError("give either FILE or --reply")
    if reply is not None:
        bounce = classify_reply(read_reply(reply, host=host, command=command))
        document, lines = bounce_document(bounce), describe_bounce(bounce)
    else:
        assert file is not None
        try:
            report = read_report(file.read())
        except OSError as error:
            raise click.UsageError(f"the message cannot be read: {error.strerror}") from error
        document, lines = report_document(report), describe_report(report)
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode() if as_json else "\n".join(lines)
    click.echo(text)


def bounce_document(bounce: Bounce) -> dict[str, Any]:
    """A bounce with what to do about it."""
    return {**msgspec.to_builtins(bounce), "advice": ADVICE[bounce.bounce_class]}


def report_document(report: Report) -> dict[str, Any]:
    """A report with the bounce of each recipient; null where nobody refused."""
    whole: dict[str, Any] = msgspec.to_builtins(report)
    for written, finding in zip(whole["findings"], report.findings, strict=True):
        bounce = classify_finding(report.kind, finding)
        written["bounce"] = bounce_document(bounce) if bounce else None
    return whole


def describe_report(report: Report) -> list[str]:
    """A report for reading: whose it is, what it is about, and one block a recipient."""
    if report.kind is ReportKind.NONE:
        return ["no report: neither a DSN, a complaint, an MDN, a bounce in words nor an automatic answer"]
    about = report.returned
    facts = {
        "report": report.kind.value,
        "from": report.reporter,
        "about": about.message_id,
        "sent by": about.envelope_from or about.from_address,
        "feedback": " ".join((report.feedback_type, report.source_ip)).strip(),
        "done": report.disposition,
        "cut": "" if report.complete else "something was left out: the report is too large or too deep",
    }
    lines = _lines(facts)
    for finding in report.findings:
        lines += ["", *_describe_finding(report.kind, finding)]
    return lines


def describe_bounce(bounce: Bounce) -> list[str]:
    """A bounce for reading."""
    codes = " ".join(filter(None, (str(bounce.code or ""), bounce.enhanced_code)))
    return _lines(
        {
            "type": bounce.bounce_type,
            "class": bounce.bounce_class,
            "rule": f"{bounce.rule} (version {bounce.rules_version})",
            "codes": codes,
            "answer to": bounce.command,
            "host": bounce.host,
            "said": " ".join(bounce.text.split()),
            "to do": ADVICE[bounce.bounce_class],
        }
    )


def _describe_finding(kind: ReportKind, finding: Finding) -> list[str]:
    facts = {
        "recipient": finding.recipient or "not named",
        "first as": finding.original_recipient,
        "action": finding.action,
        "until": finding.retry_until.isoformat() if finding.retry_until else "",
    }
    bounce = classify_finding(kind, finding)
    return _lines(facts) + (describe_bounce(bounce) if bounce else [])


def _lines(facts: dict[str, str]) -> list[str]:
    return [f"{name:<10} {printable(value)}" for name, value in facts.items() if value]

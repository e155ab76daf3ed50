"""The commands as people type them, against a running pipeline."""

import json
import signal
import subprocess
import sys
import time

from tests.e2e.pipeline import ROOT, Pipeline


def test_doctor_finds_nothing_wrong(pipeline: Pipeline) -> None:
    text = pipeline.command("doctor")
    assert "FAIL" not in text and "SMTP" in text and "Kafka" in text


def test_config_check_counts_what_it_found(pipeline: Pipeline) -> None:
    domains = len(json.loads(pipeline.config.read_text())["inbound"]["domains"])
    assert f"{domains} inbound domains" in pipeline.command("config", "check")


def test_search_show_and_explain_tell_what_happened(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="for the command line", sign=False)
    pipeline.send(raw, "a@open.test", source="127.0.0.9")
    (row,) = pipeline.settled(message_id)
    found = pipeline.command("search", f"message_id:{message_id}")
    assert "for the command line" in found and "dropped" in found and row["mail_id"] in found
    (line,) = pipeline.command("search", "--json", f"message_id:{message_id}").splitlines()
    assert json.loads(line)["mail_id"] == row["mail_id"]
    shown = pipeline.command("show", row["mail_id"])
    assert "dmarc=fail" in shown and "Timeline" in shown and "logged only" in shown
    explained = pipeline.command("explain", row["mail_id"])
    assert "dmarc" in explained and "cause" in explained and "cure" in explained


def test_an_unknown_mail_is_told_in_one_sentence(pipeline: Pipeline) -> None:
    assert pipeline.command("show", "nonsense", expect=1) == "mailscope: there is no such mail, or it has expired\n"


def start_tail(pipeline: Pipeline, last: int, *query: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mailscope", "tail", "--last", str(last), *query],
        cwd=ROOT,
        env={**pipeline.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_tail_begins_with_what_is_there_in_the_order_of_time(pipeline: Pipeline) -> None:
    for number in range(8):  # in several partitions
        pipeline.outcome(pipeline.submit(f"sorted{number}@partner.test"))
    tail = start_tail(pipeline, 20)
    time.sleep(4)
    tail.send_signal(signal.SIGINT)
    lines = tail.communicate(timeout=10)[0].splitlines()
    ours = [line.split()[0] for line in lines if "sorted" in line]
    assert len(ours) == 16 and ours == sorted(ours)


def test_tail_takes_what_the_search_takes_and_ends_with_its_reader(pipeline: Pipeline) -> None:
    for name in ("wanted", "other"):
        pipeline.outcome(pipeline.submit(f"tail.{name}@partner.test"))
    tail = start_tail(pipeline, 20, "status:delivered", "to:tail.wanted@*")
    assert tail.stdout is not None
    line = tail.stdout.readline()  # at once, though it is a pipe
    assert "delivered" in line and "tail.wanted@partner.test" in line
    tail.stdout.close()
    pipeline.outcome(pipeline.submit("tail.wanted@partner.test"))
    assert tail.wait(20) == 0
    assert "does not say provider" in pipeline.command("tail", "provider:x.example", expect=2)


def test_send_and_tail(pipeline: Pipeline) -> None:
    tail = start_tail(pipeline, 0)
    try:
        time.sleep(2)
        sent = pipeline.command(
            "send",
            "--from",
            "desk@ours.test",
            "--to",
            "tail@partner.test",
            "--subject",
            "Hi tail",
            "--text",
            "x",
        )
        pipeline.outcome(sent.splitlines()[0])
        time.sleep(1)
    finally:
        tail.send_signal(signal.SIGINT)
        lines = tail.communicate(timeout=10)[0].splitlines()
    ours = [line for line in lines if "tail@partner.test" in line]
    assert [line.split()[1] for line in ours] == ["sent", "delivered"] and tail.returncode == 0


def test_a_token_is_created_with_its_scopes(pipeline: Pipeline) -> None:
    token = pipeline.command("token", "create", "reader", "--scope", "read").strip()
    headers = {"Authorization": f"Bearer {token}"}
    import httpx

    assert httpx.get(f"{pipeline.api}/api/v1/mails", headers=headers, trust_env=False).status_code == 200
    refused = httpx.post(f"{pipeline.api}/api/v1/send", json={}, headers=headers, trust_env=False)
    assert refused.status_code in (403, 422)
    assert httpx.get(f"{pipeline.api}/api/v1/mails", trust_env=False).status_code == 401


def test_topics_apply_again_changes_nothing(pipeline: Pipeline) -> None:
    assert pipeline.command("topics", "apply").strip() == "all topics are there"


def test_a_domain_is_checked_with_the_name_servers_of_the_settings(pipeline: Pipeline) -> None:
    assert "mx.partner.test" in pipeline.command("check-domain", "partner.test", "--no-fetch")

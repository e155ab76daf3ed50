"""What a domain's policy refuses in the dialogue, and From fields that must never pass."""

import socket
import threading

import pytest

from tests.e2e.pipeline import Pipeline

STRANGER = "127.0.0.9"  # in nobody's SPF record


def test_spf_fail_is_refused_with_its_code(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("a@spf.test")
    code, text = pipeline.send(raw, "a@spf.test", source=STRANGER)
    assert code == 550 and text.startswith("5.7.23")
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["reason"], row["spf"], row["dmarc"]) == ("rejected", "spf_fail", "fail", "pass")


def test_an_allowed_host_is_exempt(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("a@spf.test")
    assert pipeline.send(raw, "a@spf.test", source="127.0.0.8")[0] == 250
    assert pipeline.settled(message_id)[0]["spf"] == "fail"


def test_a_broken_signature_is_refused_with_its_code(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("a@dkim.test")
    code, text = pipeline.send(raw + b"added on the way\r\n", "a@dkim.test")
    assert code == 550 and text.startswith("5.7.20")
    assert pipeline.settled(message_id)[0]["reason"] == "dkim_fail"


def test_quarantine_is_refused_only_where_the_policy_says_so(pipeline: Pipeline) -> None:
    for recipient, expected in (("a@quarantine.test", 550), ("drop@ours.test", 250)):
        raw, message_id = pipeline.mail(recipient, sender="x@soft.test", sign=False)
        assert pipeline.send(raw, recipient, source=STRANGER)[0] == expected
        assert pipeline.settled(message_id)[0]["dmarc"] == "fail"


def test_monitor_accepts_and_tells_what_it_would_have_done(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("a@watch.test", sign=False)
    assert pipeline.send(raw, "a@watch.test", source=STRANGER)[0] == 250
    (row,) = pipeline.settled(message_id)
    assert row["status"] == "dropped"
    received = pipeline.detail(row["mail_id"])["events"][0]
    assert "would have been refused (spf_fail)" in received["detail"]


def test_a_route_may_ask_for_authentication(pipeline: Pipeline) -> None:
    for sign, source, expected in ((True, "127.0.0.1", "authenticated"), (False, STRANGER, "logged only")):
        raw, message_id = pipeline.mail("pass@open.test", sign=sign)
        pipeline.send(raw, "pass@open.test", source=source)
        assert pipeline.settled(message_id)[0]["detail"] == expected


@pytest.mark.parametrize(
    "head",
    [
        b"From: ceo@bank.test\r\nFrom: anna@good.test\r\n",
        b"From: anna@good.test\r\nFrom: ceo@bank.test\r\n",
        b"From : ceo@bank.test\r\nFrom: anna@good.test\r\n",
        b"\xef\xbb\xbfFrom: ceo@bank.test\r\nFrom: anna@good.test\r\n",
        b"From: ceo@bank.test, anna@good.test\r\n",
        b"From: anna@good.test, ceo@bank.test\r\n",
        b"From: <ceo@bank.test> <anna@good.test>\r\n",
        b"Subject: no author\r\n",
    ],
    ids=repr,
)
def test_a_doubtful_author_never_passes(pipeline: Pipeline, head: bytes) -> None:
    _, message_id = pipeline.mail()
    message = head + b"Message-ID: <" + message_id.encode() + b">\r\n\r\nx\r\n"
    assert pipeline.send(message, "a@open.test", options=("BODY=8BITMIME",))[0] == 250
    (row,) = pipeline.settled(message_id)
    assert row["spf"] == "pass" and row["dmarc"] != "pass"


def test_a_forward_puts_one_end_of_data_on_the_wire(pipeline: Pipeline) -> None:
    """Seen by a server that keeps every octet that was sent to it."""
    heard = bytearray()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 wire.test\r\n")
            data = False
            for line in lines:
                heard.extend(line)
                if data:
                    if line == b".\r\n":
                        data = False
                        connection.sendall(b"250 2.0.0 taken\r\n")
                    continue
                verb = line[:4].upper()
                data = verb == b"DATA"
                connection.sendall(
                    b"354 go on\r\n" if data else b"221 bye\r\n" if verb == b"QUIT" else b"250 wire.test\r\n"
                )
                if verb == b"QUIT":
                    return

    with socket.create_server(("127.0.1.5", pipeline.base + 150)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        raw, message_id = pipeline.mail("wire@ours.test", body="one\n.\n..\n.MAIL FROM:<evil@evil.test>\n")
        assert pipeline.send(raw, "wire@ours.test")[0] == 250
        assert pipeline.settled(message_id)[0]["status"] == "forwarded"
        thread.join(10)
    assert heard.count(b"\r\n.\r\n") == 1
    assert heard.count(b"\r\n") == heard.count(b"\n") == heard.count(b"\r") and b"\x00" not in heard
    assert heard.count(b"\r\nMAIL FROM") == 1

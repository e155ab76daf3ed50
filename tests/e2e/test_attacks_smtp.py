"""Attacks in the SMTP dialogue, each tried on a socket."""

import os
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for

# Line ends that one server or another has taken for the end of data; only CRLF.CRLF is one (RFC 5321 section 4.1.1.4).
SMUGGLED = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\n", b"\r\n\x00.\r\n", b"\n.\r", b"\r.\n",
    b"\r\r\n.\r\r\n", b"\x00\r\n.\x00\r\n",
]  # fmt: skip


class Dialogue:
    """A raw connection to the receiver."""

    def __init__(self, pipeline: Pipeline, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", pipeline.base + 25), 20, (source, 0))
        self.file = self.socket.makefile("rb")
        self.greeting = self.read()
        if self.greeting[:3] == b"220":
            self.say(b"EHLO client.good.test\r\n")

    def read(self) -> bytes:
        """One reply, all its lines."""
        lines = b""
        while True:
            line = self.file.readline()
            lines += line
            if line[3:4] != b"-":
                return lines

    def say(self, octets: bytes) -> bytes:
        self.socket.sendall(octets)
        return self.read()

    def begin(self, recipient: bytes = b"drop@ours.test") -> None:
        assert self.say(b"MAIL FROM:<anna@good.test>\r\n").startswith(b"250")
        assert self.say(b"RCPT TO:<" + recipient + b">\r\n").startswith(b"250")
        assert self.say(b"DATA\r\n").startswith(b"354")

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def dialogue(pipeline: Pipeline):  # type: ignore[no-untyped-def]
    opened = Dialogue(pipeline)
    yield opened
    opened.close()


@pytest.mark.parametrize("sequence", SMUGGLED, ids=repr)
def test_a_false_end_of_data_smuggles_nothing(pipeline: Pipeline, dialogue: Dialogue, sequence: bytes) -> None:
    mark = f"smuggle{time.time_ns()}".encode()
    dialogue.begin()
    second = (
        b"MAIL FROM:<admin@evil.test>\r\nRCPT TO:<drop@ours.test>\r\nDATA\r\nSubject: second " + mark + b"\r\n\r\nevil"
    )
    answer = dialogue.say(b"Subject: first " + mark + b"\r\n\r\nhello" + sequence + second + b"\r\n.\r\n")
    assert answer.startswith(b"550 5.6.0")
    assert dialogue.say(b"NOOP\r\n").startswith(b"250")  # one transaction, one reply
    assert not pipeline.get("/mails", subject=mark.decode()).json()["items"]


def test_dots_and_an_empty_message_keep_their_octets(pipeline: Pipeline, dialogue: Dialogue) -> None:
    dialogue.begin()
    assert dialogue.say(b".\r\n").startswith(b"250")  # no octets at all
    mark = f"dots{time.time_ns()}"
    message = f"Subject: {mark}\r\n\r\n..\r\n.a\r\n.\x2e\r\nend.\r\n".encode()
    dialogue.begin()
    stuffed = b"".join(b"." + line if line.startswith(b".") else line for line in message.splitlines(keepends=True))
    for octet in range(0, len(stuffed), 3):  # in small packets, so that the end of data is split
        dialogue.socket.sendall(stuffed[octet : octet + 3])
        time.sleep(0.002)
    dialogue.socket.sendall(b".\r")
    time.sleep(0.02)
    assert dialogue.say(b"\n").startswith(b"250")
    (row,) = wait_for(lambda: pipeline.get("/mails", subject=mark).json()["items"])
    assert pipeline.get(f"/mails/{row['mail_id']}/raw").content == message


def test_the_greeting_names_what_is_offered(dialogue: Dialogue) -> None:
    offered = dialogue.say(b"EHLO client.good.test\r\n")
    for extension in (b"SIZE 52428800", b"8BITMIME", b"SMTPUTF8", b"PIPELINING", b"STARTTLS"):
        assert extension in offered


def test_pipelined_commands_are_answered_in_order(pipeline: Pipeline, dialogue: Dialogue) -> None:
    dialogue.socket.sendall(b"MAIL FROM:<anna@good.test>\r\nRCPT TO:<drop@ours.test>\r\nDATA\r\n")
    assert [dialogue.read()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
    dialogue.socket.sendall(b"Subject: pipelined\r\n\r\nx\r\n.\r\nNOOP\r\nQUIT\r\n")
    assert [dialogue.read()[:3] for _ in range(3)] == [b"250", b"250", b"221"]


def test_a_command_in_the_packet_of_starttls_is_not_answered_after_it(pipeline: Pipeline, dialogue: Dialogue) -> None:
    assert dialogue.say(b"STARTTLS\r\nRSET\r\nMAIL FROM:<evil@evil.test>\r\n").startswith(b"220")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secure = context.wrap_socket(dialogue.socket)
    secure.settimeout(1)
    with pytest.raises(TimeoutError):
        secure.recv(100)  # nothing that was said in the clear is answered
    secure.settimeout(20)
    encrypted = secure.makefile("rwb")

    def say(line: bytes) -> list[bytes]:
        encrypted.write(line)
        encrypted.flush()
        lines = [encrypted.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(encrypted.readline())
        return lines

    answer = say(b"EHLO client.good.test\r\n")
    assert answer[0].startswith(b"250") and not any(b"STARTTLS" in line for line in answer)
    assert say(b"RCPT TO:<drop@ours.test>\r\n")[0].startswith(b"503")  # no MAIL was taken
    secure.close()


def test_a_failed_handshake_is_one_line_of_the_log(pipeline: Pipeline, dialogue: Dialogue) -> None:
    before = len(pipeline.log().splitlines())
    assert dialogue.say(b"STARTTLS\r\n").startswith(b"220")
    dialogue.socket.sendall(b"this is no handshake\r\n" * 10)
    while dialogue.socket.recv(1000):
        pass  # an alert of TLS, and the end
    time.sleep(0.5)
    lines = pipeline.log().splitlines()[before:]
    print("\n".join(lines))
    assert len([line for line in lines if "TLS" in line or "SSL" in line]) == 1 and not any(
        "Traceback" in line for line in lines
    )


@pytest.mark.parametrize("said", [b"this is no handshake\r\n", b""], ids=["no handshake", "gone"])
def test_whoever_breaks_off_at_starttls_holds_no_place(pipeline: Pipeline, said: bytes) -> None:
    """One of the two processes has more than the 50 of the 105 connections that a peer may have at a time."""
    source = f"127.0.5.{1 + len(said)}"
    for _ in range(105):
        again = Dialogue(pipeline, source)
        try:
            assert again.greeting.startswith(b"220")
            assert again.say(b"STARTTLS\r\n").startswith(b"220")
            if said:
                again.socket.sendall(said)
                while again.socket.recv(1000):
                    pass
        finally:
            again.close()


def test_a_mail_over_tls_says_so(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("fwd-tls@ours.test")
    with pipeline.smtp() as connection:
        connection.ehlo()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection.starttls(context=context)
        connection.sendmail("anna@good.test", ["fwd-tls@ours.test"], raw)
    pipeline.settled(message_id)
    (arrived,) = pipeline.outside.partner.got(message_id.encode())
    assert b"with ESMTPS id" in arrived.content


@pytest.mark.parametrize(
    "recipient",
    [
        "anna@elsewhere.test", "anna%elsewhere.test@ours.test", '"anna@elsewhere.test"@ours.test', "elsewhere.test!anna@ours.test",
        "@ours.test:anna@elsewhere.test", "fwd-a@ours.test@elsewhere.test", "anna",
        "SRS0=aaaa=bb=elsewhere.test=anna@ours.test", "fwd-a%elsewhere.test@ours.test", "b+aaaa.bbbb.cccc@ours.test",
    ],
)  # fmt: skip
def test_nobody_is_relayed_for_in_any_spelling(dialogue: Dialogue, recipient: str) -> None:
    assert dialogue.say(b"MAIL FROM:<anna@good.test>\r\n").startswith(b"250")
    assert dialogue.say(f"RCPT TO:<{recipient}>\r\n".encode())[:2] in (b"55", b"50")


@pytest.mark.parametrize("recipient", ["fwd-srsmith@ours.test", "postmaster", "PostMaster"])
def test_an_ordinary_name_is_not_taken_for_a_trick(dialogue: Dialogue, recipient: str) -> None:
    assert dialogue.say(b"MAIL FROM:<anna@good.test>\r\n").startswith(b"250")
    assert dialogue.say(f"RCPT TO:<{recipient}>\r\n".encode()).startswith(b"250")


def test_addresses_with_control_characters_are_refused(dialogue: Dialogue) -> None:
    assert dialogue.say(b"MAIL FROM:<an\x00na@good.test>\r\n")[:1] == b"5"
    assert dialogue.say(b"MAIL FROM:<anna@good.test>\r\n").startswith(b"250")
    assert dialogue.say(b'RCPT TO:<"a\x0bb"@ours.test>\r\n')[:1] == b"5"


def guess(pipeline: Pipeline, source: str, mark: bytes) -> list[bytes]:
    """The replies to 30 guesses on one connection."""
    dialogue = Dialogue(pipeline, source)
    replies = [dialogue.greeting[:3]]
    try:
        dialogue.socket.sendall(b"MAIL FROM:<anna@good.test>\r\n")
        dialogue.socket.sendall(b"".join(b"RCPT TO:<%s-%d@ours.test>\r\n" % (mark, number) for number in range(30)))
        replies += [line[:3] for line in dialogue.file]
    except ConnectionError:
        pass
    finally:
        dialogue.close()
    return replies


def test_whoever_guesses_recipients_is_hung_up_on_and_kept_out(pipeline: Pipeline) -> None:
    """Twenty answers a connection, and 100 an hour for each of the two processes; the log has a few rows of them, and says how many."""
    source, mark = "127.0.0.13", b"guess%d" % time.time_ns()
    with ThreadPoolExecutor(40) as pool:
        guesses = list(pool.map(lambda _: guess(pipeline, source, mark), range(40)))
    answers = [replies.count(b"550") for replies in guesses]
    print(f"{sum(answers)} answers on {len(answers)} connections")
    assert max(answers) <= 20 and sum(answers) <= 200
    assert {replies[-1] for replies in guesses} == {b"421"}
    for _ in range(20):
        late = Dialogue(pipeline, source)
        late.close()
        assert late.greeting.startswith(b"421"), "it may come back later"
    other = Dialogue(pipeline, "127.0.0.14")
    assert other.greeting.startswith(b"220")
    other.close()
    time.sleep(2)  # until the log has what it will have
    rows = pipeline.get("/mails", to=f"{mark.decode()}*", limit=500).json()["items"]
    print(f"{len(rows)} rows")
    assert 1 <= len(rows) <= 20


def test_a_list_server_with_old_addresses_brings_its_message_to_the_others(pipeline: Pipeline) -> None:
    """It hears no more than twenty 550, and the message comes to those that were taken before; the connection ends then."""
    source, mark = "127.0.0.15", f"list{time.time_ns()}"
    raw, message_id = pipeline.mail("drop@ours.test", mark)
    dialogue = Dialogue(pipeline, source)
    try:
        assert dialogue.say(b"MAIL FROM:<anna@good.test>\r\n").startswith(b"250")
        assert dialogue.say(b"RCPT TO:<drop@ours.test>\r\n").startswith(b"250")
        said = [dialogue.say(b"RCPT TO:<%s-%d@ours.test>\r\n" % (mark.encode(), n))[:9] for n in range(25)]
        assert [said.count(b"550 5.1.1"), said.count(b"452 4.5.3")] == [20, 5]
        assert dialogue.say(b"RCPT TO:<desk@ours.test>\r\n").startswith(b"452 4.5.3"), "no guess shows by its reply"
        assert dialogue.say(b"DATA\r\n").startswith(b"354")
        assert dialogue.say(raw + b"\r\n.\r\n").startswith(b"250")
        assert dialogue.say(b"MAIL FROM:<anna@good.test>\r\n").startswith(b"421")
        assert dialogue.file.readline() == b""
    finally:
        dialogue.close()
    assert [row["status"] for row in pipeline.settled(message_id)] == ["dropped"]


def test_ten_peers_do_not_fill_the_receiver(pipeline: Pipeline) -> None:
    """Two processes of 500 connections, of which one peer may have 50."""
    held: list[socket.socket] = []
    try:
        for number in range(10):
            for _ in range(130):
                held.append(
                    socket.create_connection(("127.0.0.1", pipeline.base + 25), 20, (f"127.0.3.{number + 1}", 0))
                )
        time.sleep(1)
        for number in range(40):
            newcomer = Dialogue(pipeline, f"127.0.4.{number + 1}")
            held.append(newcomer.socket)
            assert newcomer.greeting.startswith(b"220"), number
    finally:
        for one in held:
            one.close()


def test_helo_and_subject_stay_on_their_line(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("fwd-inj@ours.test", subject="=?utf-8?q?a=0D=0AX-Injected:_yes?=")
    with pipeline.smtp() as connection:
        connection.docmd("EHLO", "evil\x1b[31m.test(\x0bX-Injected:")
        connection.sendmail("anna@good.test", ["fwd-inj@ours.test"], raw)
    (row,) = pipeline.settled(message_id)
    assert "\r" not in row["subject"] and "\n" not in row["subject"]
    (arrived,) = pipeline.outside.partner.got(message_id.encode())
    added = arrived.content[: -len(raw)]
    assert b"\x1b" not in added and b"\nX-Injected" not in added
    assert arrived.content.endswith(raw)
    assert "\x1b[31m" not in pipeline.log()


def test_a_hostile_message_is_kept_and_shown(pipeline: Pipeline) -> None:
    nested = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 2000
    for number, message in enumerate(
        (
            b"From: anna@good.test\r\nMessage-ID: <hostile0@good.test>\r\n" + nested + b"x\r\n",
            b"From: anna@good.test\r\nMessage-ID: <hostile1@good.test>\r\nTo: " + b"(" * 5000 + b"\r\n\r\nx\r\n",
            b"From: anna@good.test\r\nMessage-ID: <hostile2@good.test>\r\n" + b"X: y\r\n" * 50_000 + b"\r\nx\r\n",
            b"From: anna@good.test\r\nMessage-ID: <hostile3@good.test>\r\nSubject: =?utf-8?b?"
            + b"A" * 200_000
            + b"?=\r\n\r\nx\r\n",
            b"From: anna@good.test\r\nMessage-ID: <hostile4@good.test>\r\nSubject: \xff\xfe\x80=?x-no-such?q?=80?=\r\n\r\n\x80\r\n",
            b'Message-ID: <hostile5@good.test>\r\nFrom: "\r\nTo: "\r\n\r\n\r\n',
        )
    ):
        assert pipeline.send(message, "any@open.test", options=("BODY=8BITMIME",))[0] == 250, number
        (row,) = pipeline.settled(f"hostile{number}@good.test")
        assert row["status"] == "dropped"
        assert pipeline.get(f"/mails/{row['mail_id']}/raw").content == message
        assert pipeline.detail(row["mail_id"])["events"]


def test_a_hostile_mail_does_not_stop_the_desk(pipeline: Pipeline) -> None:
    nested = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 3000
    message = b"From: anna@good.test\r\nSubject: deep\r\nMessage-ID: <deep@good.test>\r\n" + nested + b"x\r\n"
    assert pipeline.send(message, "desk@ours.test")[0] in (250, 550)
    raw, message_id = pipeline.mail(subject="after the deep one")
    pipeline.send(raw, "desk@ours.test")
    assert pipeline.settled(message_id)[0]["status"] == "processed"


def resident(pid: int) -> int:
    """Octets of memory that a process has at present."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10  # type: ignore[index]


def spooled(pid: int) -> list[str]:
    """The files of unfinished messages that a process holds open."""
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return [link for link in links if "/spool/" in link]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_unfinished_content_holds_neither_memory_nor_disk_once_its_senders_are_gone(pipeline: Pipeline) -> None:
    """Sixteen senders of 45 MB that never end, as a whole 720 MB: while they are here, and after."""
    pids = [pipeline.stage_pid(stage) for stage in pipeline.stages if stage.startswith("smtp")]
    before = {pid: resident(pid) for pid in pids}
    line = b"x" * 998 + b"\r\n"
    held = []
    try:
        for number in range(16):
            opened = Dialogue(pipeline, f"127.0.6.{number + 1}")
            held.append(opened)
            opened.begin()
            for _ in range(45):
                opened.socket.sendall(line * 1000)
        wait_for(lambda: sum(len(spooled(pid)) for pid in pids) == 16, 10)
        during = sum(resident(pid) - before[pid] for pid in pids)
        assert sum(len(spooled(pid)) for pid in pids) == 16
    finally:
        for opened in held:
            opened.close()
    assert wait_for(lambda: not any(spooled(pid) for pid in pids), 20), "their files are gone"
    after = sum(resident(pid) - before[pid] for pid in pids)
    print(f"720 MB unfinished: {during >> 20} MB more memory, {after >> 20} MB once they are gone")
    assert during < 72 << 20 and after < 72 << 20
    raw, _ = pipeline.mail("drop@ours.test")
    assert pipeline.send(raw, "drop@ours.test")[0] == 250

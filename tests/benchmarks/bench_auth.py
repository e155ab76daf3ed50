"""`make bench-auth`: full authentications per second for one process, beside dkimpy + pyspf as they come and, where
Node is there, the npm package mailauth. All three judge the same bytes with the same, warm DNS answers.

5 KB, 50 KB and 1 MB; RSA-2048; SPF, DKIM, DMARC, ARC and iprev (dkimpy + pyspf: SPF, DKIM and ARC only).
`--seconds N` for each measurement, `--no-node` to leave mailauth out."""

import argparse
import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dkim
import spf
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from mail.authentication import ReceivedMail, authenticate
from mail.authentication.sign_dkim import SigningKey, sign_dkim
from mail.authentication.write_headers import write_auth_results
from mail.parse_headers import split_message
from runtime.resolve_dns import DnsResolver
from tests.fakes.zone_server import ZoneServer

ROUNDS = 3
SIZES = {"5 KB": 5_000, "50 KB": 50_000, "1 MB": 1_000_000}
DOMAIN, SELECTOR, PEER, SENDER = "example.org", "s1", "192.0.2.1", "joe@example.org"
MAILAUTH = Path(__file__).with_name("bench_mailauth.cjs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--no-node", action="store_true")
    options = parser.parse_args()
    key = SigningKey(generate_private_key(public_exponent=65537, key_size=2048))
    records = _records(key)
    mails = {name: _mail(size, key) for name, size in SIZES.items()}
    server = ZoneServer(records)
    table: dict[str, dict[str, float]] = {name: {} for name in mails}
    with tempfile.TemporaryDirectory() as folder:
        node = None if options.no_node else _install_mailauth(Path(folder))
        for _ in range(ROUNDS):  # in turns, so that a busy machine slows all of them; the best round counts
            for name, raw in mails.items():
                _keep_best(table[name], "mailscope", _measure_ours(raw, server.port, options.seconds / ROUNDS))
                rate = _measure(lambda raw=raw: _run_plain(raw, records), options.seconds / ROUNDS)  # type: ignore[misc]
                _keep_best(table[name], "dkimpy+pyspf", rate)
            for name, rate in _measure_node(node, Path(folder), mails, records, options.seconds / ROUNDS).items():
                _keep_best(table[name], "mailauth", rate)
    server.stop()
    print(f"{'':8}{'mailscope':>14}{'dkimpy+pyspf':>22}{'mailauth':>22}   authentications a second, one process")
    for name, rates in table.items():
        ours = rates["mailscope"]
        others = [_cell(ours, rates.get(other)) for other in ("dkimpy+pyspf", "mailauth")]
        print(f"{name:8}{ours:14.0f}{others[0]:>22}{others[1]:>22}")


def _cell(ours: float, other: float | None) -> str:
    return f"{other:.0f} (we are {ours / other:.1f}x)" if other else "not measured"


def _records(key: SigningKey) -> dict[str, dict[str, Any]]:
    return {
        DOMAIN: {"TXT": ["v=spf1 include:_spf.example.org -all"], "A": [PEER], "MX": ["10 mx.example.org"]},
        "_spf.example.org": {"TXT": ["v=spf1 ip4:198.51.100.0/24 a:mx.example.org ip4:192.0.2.0/24 ~all"]},
        "mx.example.org": {"A": ["192.0.2.7"]},
        f"{SELECTOR}._domainkey.{DOMAIN}": {"TXT": [key.key_record()]},
        f"_dmarc.{DOMAIN}": {"TXT": ["v=DMARC1; p=reject; rua=mailto:d@example.org"]},
        "1.2.0.192.in-addr.arpa": {"PTR": ["out.example.org"]},
        "out.example.org": {"A": [PEER]},
    }


def _mail(size: int, key: SigningKey) -> bytes:
    head = (
        b"Received: from a.example.org (a.example.org [192.0.2.7]) by out.example.org; Mon, 21 Sep 2026 10:00:00 +0000\r\n"
        b"From: Joe Doe <joe@example.org>\r\nTo: Ann <ann@example.net>\r\nSubject: Report of the week\r\n"
        b"Date: Mon, 21 Sep 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nList-Unsubscribe: <https://example.org/u>\r\n\r\n"
    )
    line = b"The quick brown fox  jumps over the lazy dog, again and again, until evening. \r\n"
    body = line * (max(0, size - len(head) - 700) // len(line))
    return sign_dkim(split_message(head + body), DOMAIN, [(SELECTOR, key)], time.time()) + head + body


def _measure(run: Callable[[], None], seconds: float) -> float:
    run()
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        run()
        count += 1
    return count / elapsed


def _measure_ours(raw: bytes, port: int, seconds: float) -> float:
    mail = ReceivedMail(raw, PEER, "out.example.org", SENDER, "mx.example.com")

    async def run() -> float:
        zone = DnsResolver([f"127.0.0.1:{port}"])
        found = await authenticate(mail, zone)
        words = (found.spf_word, found.dkim_word, found.dmarc_word, found.iprev_word)
        assert words == ("pass",) * 4, words
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            write_auth_results(await authenticate(mail, zone), "mx.example.com")
            count += 1
        return count / elapsed

    return asyncio.run(run())


def _run_plain(raw: bytes, records: dict[str, dict[str, Any]]) -> None:
    """What one would write with the two libraries as they come: SPF, the DKIM signature, the ARC chain."""

    def look_up(name: str, qtype: str, strict: bool = True, timeout: float = 20) -> list[Any]:
        values = records.get(name.lower().rstrip("."), {}).get(qtype, [])
        if qtype == "TXT":
            return [((name, qtype), [value.encode()]) for value in values]
        return [((name, qtype), value) for value in values]

    def text(name: bytes, timeout: float = 5) -> bytes | None:
        values = records.get(name.decode().lower().rstrip("."), {}).get("TXT")
        return values[0].encode() if values else None

    spf.DNSLookup = look_up
    assert spf.check2(PEER, SENDER, "out.example.org")[0] == "pass"
    assert dkim.verify(raw, dnsfunc=text)
    dkim.arc_verify(raw, dnsfunc=text)


def _install_mailauth(folder: Path) -> str | None:
    """mailauth from npm, in a folder that is removed again. None where Node or the registry is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print("Node is not here: mailauth is left out")
        return None
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "mailauth"]
    if subprocess.run(command, cwd=folder, capture_output=True).returncode != 0:
        print("mailauth cannot be installed: left out")
        return None
    shutil.copy(MAILAUTH, folder)
    return node


def _measure_node(
    node: str | None, folder: Path, mails: dict[str, bytes], records: dict[str, Any], seconds: float
) -> dict[str, float]:
    if node is None:
        return {}
    task = {
        "records": records,
        "mails": {name: base64.b64encode(raw).decode() for name, raw in mails.items()},
        "ip": PEER,
        "helo": "out.example.org",
        "sender": SENDER,
        "seconds": seconds,
    }
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    done = subprocess.run([node, MAILAUTH.name, "task.json"], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"mailauth did not run: {done.stderr.strip()[-300:]}")
        return {}
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


def _keep_best(rates: dict[str, float], name: str, rate: float) -> None:
    rates[name] = max(rate, rates.get(name, 0.0))


if __name__ == "__main__":
    main()

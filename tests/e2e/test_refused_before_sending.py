"""Who gets a mail of ours and who does not: each reason is reached for real, and told in the answer, in the log and on the page."""

import asyncio
import base64
import subprocess
import sys
from typing import Any

import pytest

from contracts.settings import Settings
from ingest.send.outgoing import Outgoing
from ingest.send.send import Sender
from runtime.publish import Publisher
from tests.e2e.pipeline import ROOT, Pipeline
from tests.wait_for import wait_for


def answered(pipeline: Pipeline, to: list[str], **fields: Any) -> tuple[str, dict[str, tuple[str, str | None]]]:
    """Send one mail: its mail_id, and what was answered about each recipient."""
    body = {"from": "desk@ours.test", "to": to, "subject": "hello", "text": "hi\n", **fields}
    answer = pipeline.post("/send", body)
    assert answer.status_code == 202, answer.text
    states = {one["recipient"]: (one["status"], one["reason"]) for one in answer.json()["recipients"]}
    return answer.json()["mail_id"], states


def told(pipeline: Pipeline, mail_id: str) -> dict[str, tuple[str, str | None]]:
    """What the log says about each recipient once all are settled."""
    return {row["recipient"]: (row["status"], row["reason"]) for row in pipeline.outcome(mail_id)["recipients"]}


def arrived(pipeline: Pipeline, recipient: str) -> int:
    return len([one for one in pipeline.outside.partner.arrived if one.recipients == [recipient]])


def suppress(pipeline: Pipeline, address: str, **body: Any) -> dict[str, Any]:
    answer = pipeline._client.put(f"{pipeline.api}/api/v1/suppressions/{address}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_recipient_has_its_own_answer(pipeline: Pipeline) -> None:
    suppress(pipeline, "gone@partner.test", note="left the company")
    wish = pipeline._client.put(f"{pipeline.api}/api/v1/preferences/shy@partner.test", json={"private": True})
    assert wish.status_code == 200
    pipeline._client.put(f"{pipeline.api}/api/v1/preferences/tired@partner.test", json={"unsubscribed": ["news"]})
    to = ["fine@partner.test", "Gone@partner.test", "shy@partner.test", "tired@partner.test", "no address"]
    wanted = {
        "fine@partner.test": ("sent", None),
        "Gone@partner.test": ("rejected", "suppressed"),
        "shy@partner.test": ("failed", "private_address"),
        "tired@partner.test": ("failed", "unsubscribed"),
        "no address": ("failed", "invalid_address"),
    }
    mail_id, states = answered(pipeline, to, stream="news")
    assert states == wanted
    assert told(pipeline, mail_id) == {**wanted, "fine@partner.test": ("delivered", None)}
    assert arrived(pipeline, "fine@partner.test") == 1
    assert not any(arrived(pipeline, one) for one in to[1:])
    page = pipeline._client.get(f"{pipeline.api}/mails/{mail_id}", headers={"Accept": "text/html"})
    assert "left the company" in page.text and "unsubscribed" in page.text
    other, states = answered(pipeline, ["tired@partner.test"], stream="bills")
    assert states["tired@partner.test"][0] == "sent" and told(pipeline, other)["tired@partner.test"][0] == "delivered"


def test_a_hard_bounce_suppresses_and_an_unblock_lets_the_next_mail_through(pipeline: Pipeline) -> None:
    address = "moved@partner.test"
    pipeline.outside.partner.plan[address] = ["550 5.1.1 No such user here"]  # once
    first = pipeline.submit(address)
    assert told(pipeline, first)[address] == ("delivery_failed", "invalid_address")
    entry = pipeline.get(f"/suppressions/{address}").json()
    assert (entry["active"], entry["reason"], entry["mail_id"]) == (True, "invalid_recipient", first)
    assert "No such user here" in entry["note"]
    second, states = answered(pipeline, [address])
    assert states[address] == ("rejected", "suppressed")
    removed = pipeline._client.delete(f"{pipeline.api}/api/v1/suppressions/{address}", params={"note": "they asked"})
    assert removed.status_code == 200 and removed.json()["active"] is False
    third, states = answered(pipeline, [address])  # at once: what was removed is removed
    assert states[address][0] == "sent" and told(pipeline, third)[address][0] == "delivered"
    assert told(pipeline, second)[address] == ("rejected", "suppressed")  # unblocking never resends
    assert arrived(pipeline, address) == 1
    history = pipeline.get(f"/suppressions/{address}/history").json()["items"]
    assert [(one["action"], one["by"]) for one in history] == [("removed", "admin"), ("added", "outcomes")]


@pytest.mark.parametrize(
    "reply",
    ["550 5.7.1 Your IP is listed at zen.spamhaus.org", "554 5.6.0 Message looks like spam", "550 5.7.26 DMARC failed"],
)
def test_what_is_about_us_or_the_content_suppresses_nobody(pipeline: Pipeline, reply: str) -> None:
    address = f"kept{abs(hash(reply)) % 10**6}@partner.test"
    pipeline.outside.partner.plan[address] = reply
    assert told(pipeline, pipeline.submit(address))[address][0] == "delivery_failed"
    assert pipeline.get(f"/suppressions/{address}").status_code == 404


def test_a_quota_is_met_in_the_middle_of_a_mail(pipeline: Pipeline) -> None:
    to = [f"q{number}@partner.test" for number in range(7)]
    mail_id, states = answered(pipeline, [to[0], "no address", *to[1:]], **{"from": "news@few.test"})
    assert [states[one] for one in to] == [("sent", None)] * 5 + [("failed", "quota_exceeded")] * 2
    assert states["no address"] == ("failed", "invalid_address")  # and takes nothing from the quota
    assert [told(pipeline, mail_id)[one][0] for one in to] == ["delivered"] * 5 + ["failed"] * 2
    row = next(row for row in pipeline.outcome(mail_id)["recipients"] if row["recipient"] == to[6])
    assert "renews at 20" in row["detail"] and "T00:00:00.000Z" in row["detail"]


def test_a_message_over_the_limit_is_a_row_of_the_log(pipeline: Pipeline) -> None:
    mail_id, states = answered(pipeline, ["big@partner.test"], text="x" * 60 + "\n" + ("y" * 70 + "\n") * 160_000)
    assert states["big@partner.test"] == ("failed", "message_too_large")
    assert told(pipeline, mail_id)["big@partner.test"] == ("failed", "message_too_large")


@pytest.mark.parametrize(
    ("domain", "why"), [("good.test", "not the one that DNS publishes"), ("dead.test", "not published")]
)
def test_a_key_that_nobody_can_verify_sends_nothing(pipeline: Pipeline, domain: str, why: str) -> None:
    mail_id, states = answered(pipeline, ["keyed@partner.test"], **{"from": f"desk@{domain}"})
    assert states["keyed@partner.test"] == ("failed", "authentication_error")
    (row,) = pipeline.outcome(mail_id)["recipients"]
    assert why in row["detail"] and f"s1._domainkey.{domain}" in row["detail"]
    assert arrived(pipeline, "keyed@partner.test") == 0


def test_a_mail_of_which_nothing_is_aligned_is_not_sent(pipeline: Pipeline) -> None:
    """A domain without a key of its own, in an envelope of another organization: DMARC would fail wherever it goes."""
    raw = b"From: desk@second.test\r\nTo: loose@partner.test\r\nSubject: x\r\n\r\nhi\r\n"
    body = {"raw": base64.b64encode(raw).decode(), "from": "desk@ours.test", "to": ["loose@partner.test"]}
    answer = pipeline.post("/send", body)
    (state,) = answer.json()["recipients"]
    assert (answer.status_code, state["status"], state["reason"]) == (202, "failed", "authentication_error")
    (row,) = pipeline.outcome(answer.json()["mail_id"])["recipients"]
    assert "nothing of it is aligned" in row["detail"] and arrived(pipeline, "loose@partner.test") == 0


async def test_a_door_that_knows_more_domains_than_the_processors_do_is_told_so(pipeline: Pipeline) -> None:
    """The Python function, in an application whose configuration is newer."""
    settings = Settings.model_validate(
        {
            "kafka": {"bootstrap": pipeline.bootstrap},
            "data_dir": str(pipeline.folder / "application"),
            "outbound": {"domains": {"newer.test": {}}},
        }
    )
    publisher = Publisher(settings.kafka_client)
    try:
        sender = Sender(settings, publisher)
        await sender.start()
        sent = await sender.send(Outgoing("desk@newer.test", ("conf@partner.test",), subject="x", text="hi\n"))
    finally:
        await publisher.close()
    mail = await asyncio.to_thread(pipeline.outcome, sent.mail_id)
    (row,) = mail["recipients"]
    assert (row["status"], row["reason"]) == ("failed", "configuration_error")
    assert "newer.test is not under outbound.domains" in row["detail"] and arrived(pipeline, "conf@partner.test") == 0
    page = pipeline._client.get(f"{pipeline.api}/mails/{sent.mail_id}", headers={"Accept": "text/html"})
    assert "onfiguration" in page.text


def test_the_command_line_changes_the_list(pipeline: Pipeline) -> None:
    def run(*words: str, text: str = "") -> tuple[int, str]:
        argv = [sys.executable, "-m", "mailscope", "suppressions", *words]
        done = subprocess.run(argv, cwd=ROOT, env=pipeline.environ, input=text, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    assert "anna@cli.test  manual" in run("add", "anna@cli.test", "--note", "by hand")[1]
    code, said = run("import", "-", text="address,reason\nbert@cli.test,complaint\nnobody,\nanna@cli.test,manual\n")
    assert code == 1 and "line 3: nobody: this is no mail address" in said
    assert "line 4: anna@cli.test: known" in said and "1 added" in said and "1 error" in said
    listed = run("list", "@cli.test")[1]
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["anna@cli.test", "manual"],
        ["bert@cli.test", "complaint"],
    ]
    exported = run("export")[1]
    assert exported.startswith('"address","reason"') and '"bert@cli.test","complaint"' in exported
    assert "anna@cli.test: removed" in run("remove", "anna@cli.test", "zoe@cli.test", "--note", "works again")[1]
    shown = run("show", "anna@cli.test")[1]
    assert "is not suppressed" in shown and "works again" in shown and "by hand" in shown
    assert run("import", "-", text=exported)[0] == 0  # what was exported can be imported


def test_pages_of_the_list_follow_each_other(pipeline: Pipeline) -> None:
    csv = "address\n" + "".join(f"u{number:03}@pages.test\n" for number in range(25))
    answer = pipeline._client.post(f"{pipeline.api}/api/v1/suppressions:import", content=csv)
    assert answer.json()["counts"] == {"added": 25}
    found: list[str] = []
    cursor = None
    while cursor is not None or not found:
        page = pipeline.get("/suppressions", address="@pages.test", limit=10, **({"cursor": cursor} if cursor else {}))
        found += [one["address"] for one in page.json()["items"]]
        cursor = page.json()["next_cursor"]
    assert found == [f"u{number:03}@pages.test" for number in range(25)]
    answer = pipeline.post("/suppressions:remove", {"addresses": [*found, "x@pages.test"]})
    assert answer.json()["counts"] == {"removed": 25, "not_listed": 1}
    assert pipeline.get("/suppressions", address="@pages.test").json()["items"] == []


def test_a_token_of_one_domain_has_no_part_in_the_list(pipeline: Pipeline) -> None:
    argv = [sys.executable, "-m", "mailscope", "token", "create", "one", "--scope", "read", "--scope", "manage"]
    made = subprocess.run(
        [*argv, "--domain", "ours.test"], cwd=ROOT, env=pipeline.environ, capture_output=True, text=True
    )
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}

    def refused() -> bool:
        answer = pipeline._client.get(f"{pipeline.api}/api/v1/suppressions", headers=headers)
        return answer.status_code == 403

    assert wait_for(refused, 5)
    for path in ("suppressions/a@x.test", "preferences/a@x.test"):
        put = pipeline._client.put(f"{pipeline.api}/api/v1/{path}", json={}, headers=headers)
        assert put.status_code == 403, path

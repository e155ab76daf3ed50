"""Redelivering: what failed gets a new round, once, with its id and its history; what did not fail stays as it is."""

import os
import signal
from typing import Any

import httpx
from playwright.sync_api import expect

from tests.e2e.pipeline import Pipeline
from tests.e2e.test_late_news import dsn, row_once
from tests.fakes.browser import chromium, log_in
from tests.wait_for import wait_for


def redeliver(pipeline: Pipeline, mail_id: str, *recipients: str, preview: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = {"preview": preview} | ({"recipients": list(recipients)} if recipients else {})
    answer = pipeline.post(f"/mails/{mail_id}/redeliver", body)
    assert answer.status_code == 202, answer.text
    return answer.json()


def acts(pipeline: Pipeline, **filters: str) -> list[dict[str, Any]]:
    answer = pipeline.get("/audit", **filters)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_a_failed_mail_is_run_again_and_becomes_a_request(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="Fail priority")
    assert pipeline.send(raw, "desk@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id)
    mail_id = row["mail_id"]
    assert (row["status"], row["reason"]) == ("failed", "handler_error")
    told = redeliver(pipeline, mail_id, preview=True)
    assert (told["redelivered"], told["items"][0]["result"]) == (1, "would_be_redelivered")
    desk = pipeline.outside.desk
    desk.mended.add("fail priority")
    assert len(desk.called("Fail priority")) == 1, "a preview does nothing"
    assert redeliver(pipeline, mail_id)["items"][0]["result"] == "redelivered"
    row = row_once(pipeline, mail_id, "processed")
    assert row["reference"].startswith("IT-") and row["attempts"] == 2
    detail = pipeline.detail(mail_id)
    assert [event["status"] for event in detail["events"]] == ["received", "failed", "received", "processed"]
    assert [event["round"] for event in detail["events"]] == [0, 0, 1, 1]
    assert detail["events"][2]["detail"].startswith("redelivered by admin")
    assert [attempt["number"] for attempt in detail["attempts"]] == [1, 2]
    first, second = desk.called("Fail priority")
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    assert first.mail["mail_id"] == second.mail["mail_id"] == mail_id
    assert "a second request" in redeliver(pipeline, mail_id)["items"][0]["message"]
    assert wait_for(lambda: acts(pipeline, mail_id=mail_id, action="redelivered"), 15)
    (act,) = acts(pipeline, mail_id=mail_id, action="redelivered")
    assert (act["actor"], act["recipient"], act["detail"]) == (
        "admin",
        "desk@ours.test",
        "it was failed (handler_error)",
    )
    assert f"redelivered  {mail_id}  desk@ours.test" in pipeline.command("audit", "--mail", mail_id)


def test_a_bounced_mail_is_sent_again_and_its_old_bounce_says_nothing_of_the_new_delivery(pipeline: Pipeline) -> None:
    address = "greta@partner.test"
    plan = pipeline.outside.partner.plan
    plan[address] = "550 5.7.1 blocked for now"
    mail_id = pipeline.submit(address)
    (row,) = pipeline.outcome(mail_id)["recipients"]
    assert row["status"] == "delivery_failed"
    del plan[address]
    assert "1 would be redelivered" in pipeline.command("redeliver", mail_id)
    assert "1 redelivered" in pipeline.command("redeliver", mail_id, "--yes")
    assert row_once(pipeline, mail_id, "delivered")["attempts"] == 2
    (arrived,) = [one for one in pipeline.outside.partner.arrived if one.recipients == [address]]
    # Late news of the delivery that counts, by its own bounce address.
    bounce = dsn(pipeline, arrived.mail_from, address, "failed", "5.1.1", "550 5.1.1 gone")
    assert pipeline.send(bounce, arrived.mail_from, sender="")[0] == 250
    row = row_once(pipeline, mail_id, "delivery_failed")
    assert row["late"] and row["bounce_class"] == "invalid_recipient"
    assert "suppression list" in redeliver(pipeline, mail_id)["items"][0]["message"]
    assert pipeline.command("suppressions", "remove", address)
    assert redeliver(pipeline, mail_id)["redelivered"] == 1
    row = row_once(pipeline, mail_id, "delivered")
    assert (row["late"], row["attempts"]) == (False, 3)
    # What comes late about the round before changes nothing any more.
    again = dsn(pipeline, arrived.mail_from, address, "failed", "4.4.7", "554 5.4.7 expired")
    assert pipeline.send(again, arrived.mail_from, sender="")[0] == 250
    assert wait_for(lambda: len([one for one in pipeline.detail(mail_id)["events"] if one["late"]]) >= 1, 15)
    assert pipeline.detail(mail_id)["recipients"][0]["status"] == "delivered"


def test_two_who_redeliver_at_once_send_it_once_though_who_decides_is_killed(pipeline: Pipeline) -> None:
    address = "hugo@partner.test"
    plan = pipeline.outside.partner.plan
    plan[address] = "554 5.7.1 not today"
    mail_ids = [pipeline.submit(address, subject=f"twice {number}") for number in range(5)]
    for mail_id in mail_ids:
        pipeline.outcome(mail_id)
    del plan[address]
    os.kill(pipeline.stage_pid("outbound"), signal.SIGKILL)
    for _ in range(2):
        for mail_id in mail_ids:
            redeliver(pipeline, mail_id)
    found = pipeline.post("/redeliver", {"q": f"to:{address}"}).json()
    assert found["redelivered"] + found["refused"] == 5
    os.kill(pipeline.stage_pid("outbound"), signal.SIGKILL)
    for mail_id in mail_ids:
        assert row_once(pipeline, mail_id, "delivered")
    got = [one for one in pipeline.outside.partner.arrived if one.recipients == [address]]
    assert len(got) == 5, [one.content[:300] for one in got]


def test_a_forward_goes_again_to_those_only_who_did_not_take_it(pipeline: Pipeline) -> None:
    plan = pipeline.outside.partner.plan
    raw, message_id = pipeline.mail("two@ours.test", subject="two targets")
    pipeline.outside.slow.plan["b@slow.test"] = "550 5.1.1 unknown"
    assert pipeline.send(raw, "two@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id)
    assert row["status"] == "delivery_failed"
    del pipeline.outside.slow.plan["b@slow.test"]
    assert plan.get("a@partner.test") is None
    redeliver(pipeline, row["mail_id"])
    row_once(pipeline, row["mail_id"], "forwarded")
    took = [one for one in pipeline.outside.partner.arrived if b"Subject: two targets" in one.content]
    assert [one.recipients for one in took] == [["a@partner.test"]]


def test_a_large_message_goes_again_from_the_blob_store(pipeline: Pipeline) -> None:
    address = "big@partner.test"
    plan = pipeline.outside.partner.plan
    plan[address] = "554 5.7.1 not today"
    mail_id = pipeline.submit(address, subject="large", text="a long line\n" * 50_000)
    assert pipeline.outcome(mail_id)["recipients"][0]["status"] == "delivery_failed"
    del plan[address]
    assert redeliver(pipeline, mail_id)["redelivered"] == 1
    row_once(pipeline, mail_id, "delivered")
    (arrived,) = [one for one in pipeline.outside.partner.arrived if one.recipients == [address]]
    assert len(arrived.content) > 500_000


def test_who_may_not_manage_redelivers_nothing_and_other_sites_do_not(pipeline: Pipeline) -> None:
    address = "ines@partner.test"
    pipeline.outside.partner.plan[address] = "554 5.7.1 no"
    mail_id = pipeline.submit(address)
    pipeline.outcome(mail_id)
    reader = pipeline.make_token("read", "raw", domain="ours.test")
    url = f"/mails/{mail_id}/redeliver"
    assert pipeline.post(url, {}, reader).status_code == 403
    manager = pipeline.make_token("manage", domain="second.test")
    assert pipeline.post(url, {}, manager).status_code == 404
    assert pipeline.post("/redeliver", {"q": ""}).status_code == 422
    token = (pipeline.data / "admin-token").read_text().strip()
    with httpx.Client(base_url=pipeline.api, trust_env=False) as browser:
        browser.post("/login", data={"token": token})
        page = browser.get(url)
        assert page.status_code == 200 and "Redeliver 1 mail?" in page.text
        foreign = browser.post(url, data={"recipient": address}, headers={"Origin": "https://evil.test"})
        assert foreign.status_code == 403
        assert pipeline.detail(mail_id)["recipients"][0]["status"] == "delivery_failed"
        pipeline.outside.partner.plan.pop(address)
        done = browser.post(url, data={"recipient": address})
        assert (done.status_code, done.headers["location"]) == (303, f"/mails/{mail_id}")
    row_once(pipeline, mail_id, "delivered")


def test_a_person_answers_and_acts_in_few_clicks(pipeline: Pipeline) -> None:
    """Did anna get the invitation, and why not: one paste, one click. Unblock and redeliver: three clicks."""
    address, plan = "paula@partner.test", pipeline.outside.partner.plan
    plan[address] = "550 5.1.1 no such mailbox here"
    mail_id = pipeline.submit(address, subject="Your invitation", stream="invitation")
    pipeline.outcome(mail_id)
    wait_for(lambda: pipeline.get(f"/suppressions/{address}").status_code == 200, 15)
    del plan[address]
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        log_in(page, pipeline.api, pipeline.token)
        page.get_by_label("Search the log").fill(address)  # the paste
        page.keyboard.press("Enter")
        row = page.locator("tr.mail", has_text="Your invitation")
        expect(row).to_contain_text("delivery failed")
        row.locator("a.unfold").click()  # 1
        expect(page.locator(".unfolded")).to_contain_text("no such mailbox here")
        expect(page.locator(".unfolded")).to_contain_text("The recipient’s turn")
        row.locator("a.subject-line").click()  # 1
        page.get_by_role("link", name="Redeliver…").click()  # 2
        page.get_by_role("button", name="Unblock 1 and redeliver").click()  # 3
        page.wait_for_url(f"**/mails/{mail_id}")
    row_once(pipeline, mail_id, "delivered")
    assert pipeline.get(f"/suppressions/{address}").json()["active"] is False

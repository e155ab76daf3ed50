"""The page of the pipeline tells what is wrong, and nothing where nothing is."""

import json
import os
import signal
from typing import Any, Literal

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Page, expect

from contracts.ids import new_mail_id
from tests.e2e.pipeline import Pipeline
from tests.e2e.test_browser import log_in, page, pytestmark  # noqa: F401
from tests.fakes.browser import chromium, violations
from tests.wait_for import wait_for


def system(pipeline: Pipeline) -> dict[str, Any]:
    answer = pipeline.get("/system")
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(pipeline: Pipeline) -> str:
    return " | ".join(one["what"] for one in system(pipeline)["troubles"])


def test_a_stage_that_stands_still_is_named_and_forgotten_when_it_goes_on(pipeline: Pipeline) -> None:
    stages = {one["name"]: one for one in system(pipeline)["stages"]}
    assert {"inbound", "outbound", "delivery", "clickhouse", "smtp"} <= set(stages) and "mailboxes" not in stages
    assert [one["state"] for one in stages["smtp"]["processes"]] == ["ready", "ready"]
    assert stages["delivery"]["members"] == 1 and stages["inbound"]["behind_seconds"] is not None
    stopped = pipeline.stage_pid("outbound")
    os.kill(stopped, signal.SIGSTOP)
    try:
        assert wait_for(lambda: "outbound is unready" in said(pipeline), 30, 0.5), said(pipeline)
        assert not system(pipeline)["fine"]
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert wait_for(lambda: "outbound" not in said(pipeline), 60, 0.5), said(pipeline)
    assert json.loads(pipeline.command("doctor", "--json"))["system"]["stages"]
    keys = {one["domain"]: one for one in system(pipeline)["keys"]}
    assert keys["ours.test"]["published"] and "not published" in keys["dead.test"]["fault"] + keys["good.test"]["fault"]


def test_a_person_sees_dead_letters_and_replays_one_and_then_all(pipeline: Pipeline, page: Page) -> None:  # noqa: F811
    producer = Producer({"bootstrap.servers": pipeline.bootstrap})
    key = new_mail_id()
    for _ in range(2):
        producer.produce("mail.attempts", b"{odd", key=key.encode())
    assert producer.flush(10) == 0
    listed = "/dead-letters"
    wait_for(lambda: sum(one["key"] == key for one in pipeline.get(listed, limit=500).json()["items"]) == 2, 30)
    log_in(page, pipeline, "/system")
    expect(page.get_by_role("heading", level=1)).to_contain_text("wrong")
    row = page.locator("tr", has_text="processors.outcomes").filter(has_text="not a cloudevent")
    row.get_by_role("link", name="Open").click()
    rows = page.locator("tbody tr", has_text=key)
    expect(rows).to_have_count(2)
    rows.first.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status")).to_contain_text("1 published again")

    def replayed() -> list[dict[str, Any]]:
        items = pipeline.get(listed, limit=500).json()["items"]
        return [one for one in items if one["key"] == key and one["replayed_at"]]

    assert wait_for(lambda: len(replayed()) == 1, 30)
    assert wait_for(lambda: sum(one["key"] == key for one in pipeline.get(listed, limit=500).json()["items"]) == 3, 30)
    page.get_by_role("button", name="Replay all that nobody has replayed").click()
    expect(page.get_by_role("status")).to_contain_text("published again")
    assert wait_for(lambda: len(replayed()) >= 3, 30), "what was put aside again was replayed with the rest"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_nothing_is_wrong_with_the_pages_for_who_cannot_see_or_point(
    pipeline: Pipeline, scheme: Literal["light", "dark"], width: int
) -> None:
    pipeline.outside.partner.plan["axe@partner.test"] = "550 5.1.1 <script>alert(1)</script> \u202e unknown".encode()
    mail_id = pipeline.submit("axe@partner.test", subject="<img src=x onerror=alert(1)> \u202e")
    pipeline.outcome(mail_id)
    paths = (f"/mails/{mail_id}", f"/mails/{mail_id}/redeliver", f"/mails/{mail_id}/related", "/system",
             "/system/dead-letters", "/redeliver?q=axe@partner.test")  # fmt: skip
    found: list[str] = []
    with chromium() as browser:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
        )  # axe-core applies styles, which the policy keeps from it
        page = context.new_page()
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        log_in(page, pipeline)
        for path in paths:
            page.goto(pipeline.api + path)
            for summary in page.locator("details > summary").all():
                summary.click()
            page.wait_for_timeout(300)
            found += [f"{path}: {one}" for one in violations(page)]
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            found += [f"{path} is {wide} pixels wider than the screen"] if wide > 0 else []
        page.goto(f"{pipeline.api}/mails/{mail_id}")
        page.get_by_text("Copy for").click()
        page.get_by_role("button", name="Make a receipt").click()
        found += violations(page)
        page.get_by_role("link", name="Open it").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("What happened to this mail")
        found += violations(page)
    assert not found, "\n".join(found)


def test_the_configuration_of_the_start_stands_in_the_audit_log_without_its_values(pipeline: Pipeline) -> None:
    assert wait_for(lambda: pipeline.get("/audit", action="configured").json()["items"], 15)
    (act,) = pipeline.get("/audit", action="configured").json()["items"]
    assert "inbound=" in act["detail"] and "ours.test" not in act["detail"]

"""Unsubscribing from a stream by one click (RFC 8058), by a page, and by mail."""

import base64
import re

import dkim
import httpx

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for


def sent(pipeline: Pipeline, address: str, **fields: object) -> tuple[str, bytes]:
    """A mail of the stream `letter`: its mail_id, and what arrived."""
    mail_id = pipeline.submit(address, stream="letter", **fields)
    assert pipeline.outcome(mail_id)["recipients"][0]["status"] == "delivered"
    (arrived,) = [one for one in pipeline.outside.partner.arrived if one.recipients == [address]]
    return mail_id, arrived.content


def offer(content: bytes) -> tuple[str, str]:
    """The link and the address of List-Unsubscribe."""
    head = re.sub(rb"\r\n[ \t]+", b" ", content.partition(b"\r\n\r\n")[0])
    value = re.search(rb"(?im)^list-unsubscribe:(.*)$", head)
    assert value and re.search(rb"(?im)^list-unsubscribe-post: *List-Unsubscribe=One-Click\r?$", head)
    link, address = re.findall(r"<([^<>]+)>", value[1].decode())
    return link, address.removeprefix("mailto:").partition("?")[0]


def refused(pipeline: Pipeline, address: str) -> bool:
    body = {"from": "desk@ours.test", "to": [address], "subject": "again", "text": "x", "stream": "letter"}
    return [one["reason"] for one in pipeline.post("/send", body).json()["recipients"]] == ["unsubscribed"]


def test_one_click_at_once_and_the_offer_is_signed(pipeline: Pipeline) -> None:
    mail_id, content = sent(pipeline, "click@partner.test")
    key = pipeline.outside.zones.records["s1._domainkey.ours.test"]["TXT"][0].encode()
    signatures = re.findall(rb"(?ims)^dkim-signature:.*?(?=^[^ \t])", content.partition(b"\r\n\r\n")[0])
    assert len(signatures) == 2 and b"list-unsubscribe-post" in signatures[0]
    for number in (0, 1):
        assert dkim.DKIM(content).verify(idx=number, dnsfunc=lambda name, timeout=5: key)
    changed = content.replace(b"/u/", b"/v/")
    assert not dkim.DKIM(changed).verify(idx=0, dnsfunc=lambda name, timeout=5: key)
    link, _ = offer(content)
    assert link.startswith(pipeline.api + "/u/")
    answer = httpx.post(link, data={"List-Unsubscribe": "One-Click"}, trust_env=False)  # no token, no cookie
    assert answer.status_code == 200 and "click@partner.test" in answer.text
    assert refused(pipeline, "click@partner.test")
    assert httpx.post(link, trust_env=False).status_code == 200  # again: nothing more
    assert wait_for(lambda: pipeline.detail(mail_id)["events"][-1]["status"] == "unsubscribed", 15)
    assert [event["status"] for event in pipeline.detail(mail_id)["events"]].count("unsubscribed") == 1
    assert pipeline.detail(mail_id)["recipients"][0]["status"] == "delivered"
    wishes = pipeline.get("/preferences/click@partner.test").json()
    assert (wishes["unsubscribed"], wishes["private"]) == (["letter"], False)
    other = pipeline.submit("click@partner.test", stream="invoice")  # another stream still arrives
    assert pipeline.outcome(other)["recipients"][0]["status"] == "delivered"


def test_a_page_asks_first_and_a_link_that_was_changed_is_nothing(pipeline: Pipeline) -> None:
    _, content = sent(pipeline, "page@partner.test")
    link, _ = offer(content)
    page = httpx.get(link, headers={"Accept": "text/html"}, trust_env=False)
    assert page.status_code == 200 and "page@partner.test" in page.text and 'method="post"' in page.text
    assert not refused(pipeline, "page@partner.test")
    for wrong in (link[:-1], link.replace("/u/", "/u/x"), pipeline.api + "/u/a.b"):
        assert httpx.post(wrong, trust_env=False).status_code == 404


def test_a_mail_to_the_address_unsubscribes_and_an_automatic_answer_does_not(pipeline: Pipeline) -> None:
    _, content = sent(pipeline, "mailto@partner.test")
    _, address = offer(content)
    automatic = "From: mailto@partner.test\r\nAuto-Submitted: auto-replied\r\nSubject: away\r\nMessage-ID: <u1@x.test>\r\n\r\nx\r\n"
    assert pipeline.send(automatic.encode(), address, sender="")[0] == 250
    pipeline.settled("u1@x.test")
    assert not refused(pipeline, "mailto@partner.test")
    raw = f"From: mailto@partner.test\r\nTo: {address}\r\nSubject: unsubscribe\r\nMessage-ID: <u2@x.test>\r\n\r\n\r\n"
    assert pipeline.send(raw.encode(), address, sender="mailto@partner.test")[0] == 250
    assert wait_for(lambda: refused(pipeline, "mailto@partner.test"), 15)


def test_each_recipient_has_an_offer_of_its_own_and_other_streams_have_none(pipeline: Pipeline) -> None:
    addresses = [f"own{number}@partner.test" for number in range(25)]
    mail_id = pipeline.submit(addresses[0], cc=addresses[1:], stream="letter")
    pipeline.outcome(mail_id)
    arrived = [one for one in pipeline.outside.partner.arrived if one.recipients[0].startswith("own")]
    links = {offer(one.content)[0] for one in arrived}
    assert len(links) == len(arrived) == 25
    plain = pipeline.submit("plain@partner.test", stream="invoice")
    pipeline.outcome(plain)
    (one,) = [one for one in pipeline.outside.partner.arrived if one.recipients == ["plain@partner.test"]]
    assert b"List-Unsubscribe" not in one.content
    raw = (
        b"From: desk@ours.test\nSubject: own\nList-Unsubscribe: <https://app.test/u>\nX-Mailscope-Stream: letter\n\nx\n"
    )
    mail_id = pipeline.submit("appown@partner.test", subject="", text=None, raw=base64.b64encode(raw).decode())
    pipeline.outcome(mail_id)
    (one,) = [one for one in pipeline.outside.partner.arrived if one.recipients == ["appown@partner.test"]]
    assert one.content.count(b"List-Unsubscribe:") == 1

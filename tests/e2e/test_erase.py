"""An address is erased on request: nothing says anything of it, other mail stays, and nothing brings it back."""

from typing import Any

from confluent_kafka import Producer

from tests.e2e.pipeline import Pipeline
from tests.fakes.broker import read_topic
from tests.wait_for import wait_for

ADDRESS = "gone.person@partner.test"
LARGE = "all that she wrote\n" * 20_000  # above the claim check


def blobs(pipeline: Pipeline) -> set[str]:
    return {
        path.name
        for path in (pipeline.data / "blobs").rglob("*")
        if path.is_file() and path.parent.parent.name == "raw"
    }


def world(pipeline: Pipeline) -> tuple[str, str, set[str]]:
    """A mail to her and another one, and a large one from her: their ids, and the blobs of the latter."""
    body = {
        "from": "desk@ours.test",
        "to": [ADDRESS, "stays@partner.test"],
        "subject": "To both of you",
        "text": "hi\n",
    }
    together = pipeline.post("/send", body).json()["mail_id"]
    pipeline.outcome(together)
    before = blobs(pipeline)
    raw, message_id = pipeline.mail(sender=ADDRESS, sign=False, body=LARGE)
    assert pipeline.send(raw, "a@open.test", sender=ADDRESS)[0] == 250
    (row,) = pipeline.settled(message_id)
    added = blobs(pipeline) - before
    assert len(added) == 1
    return together, row["mail_id"], added


def test_nothing_says_anything_of_an_erased_address_and_nothing_brings_it_back(pipeline: Pipeline) -> None:
    together, sent, large = world(pipeline)
    pipeline.command("suppressions", "add", ADDRESS, "--note", "asked us by telephone")
    told = pipeline.command("erase", ADDRESS)
    assert "2 mails (2 rows), 2 messages (1 in the blob store), and an entry of: suppression list" in told
    assert "mail.events" in told and "nothing was erased" in told and pipeline.get(f"/mails/{sent}").status_code == 200
    kept = {"Authorization": pipeline.make_token("read", "manage", domain="partner.test")["Authorization"]}
    refused = pipeline.post("/addresses:erase", {"address": ADDRESS}, headers=kept)
    assert refused.status_code == 403

    told = pipeline.command("erase", ADDRESS, "--yes")
    assert "2 mails, 2 rows, 2 messages, 1 blobs" in told

    def says_nothing() -> None:
        assert pipeline.get("/mails", q=ADDRESS).json()["items"] == []
        assert pipeline.get(f"/mails/{sent}").status_code == 404
        assert [one["recipient"] for one in pipeline.detail(together)["recipients"]] == ["stays@partner.test"]
        for path in (f"/mails/{together}", "/", "/notifications", "/incoming"):
            assert "gone.person" not in pipeline.page(path).text, path
        assert "gone.person" not in pipeline.get("/export", format="csv").text
        assert pipeline.get(f"/mails/{together}/raw").status_code == 410

    says_nothing()
    assert not blobs(pipeline) & large
    entry = pipeline.get(f"/suppressions/{ADDRESS}").json()
    assert entry["active"] and entry["note"] == "" and entry["by"] == "erasure"
    assert wait_for(lambda: any(act["action"] == "erased" for act in pipeline.get("/audit").json()["items"]), 15)
    assert "gone.person" not in pipeline.get("/audit", limit="500").text

    again(pipeline, {together, sent})
    later = pipeline.submit("after.the.erasure@partner.test")
    pipeline.outcome(later)  # its events stand behind those that were written again
    says_nothing()
    assert "erased" in pipeline.command("erase", "--status")


def again(pipeline: Pipeline, mail_ids: set[str]) -> None:
    """Write what Kafka holds of these mails once more, as a rebuild would read it: into every partition's end."""
    producer = Producer({"bootstrap.servers": pipeline.bootstrap})
    written: list[Any] = []
    for topic in ("mail.events", "mail.raw"):
        for message in read_topic(pipeline.bootstrap, topic):
            if (message.key() or b"").decode() in mail_ids:
                producer.produce(
                    topic, message.value(), message.key(), message.partition(), headers=message.headers(),
                    on_delivery=lambda error, _: written.append(error),
                )  # fmt: skip
    producer.flush(10)
    assert len(written) >= 6 and not any(written)

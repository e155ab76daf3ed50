"""What a click on an unsubscribe link does, and in which order."""

from typing import Any

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from console.serve_unsubscribe import unsubscribe_router
from contracts.ids import new_mail_id
from contracts.records import Record
from mail.unsubscribe_link import UnsubscribeLinks, Unsubscription


class Kafka:
    """Stands for the publisher and the list: `done` is what was written, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def publish(self, record: Record) -> None:
        self.done.append(record.topic)

    def get(self, address: str) -> None:
        return None

    async def change(self, *given: Any) -> None:
        self.done.append("mail.preferences")


async def test_the_log_hears_of_it_before_the_list_so_that_a_kill_in_between_is_made_up_for() -> None:
    kafka, links, app = Kafka(), UnsubscribeLinks(b"key"), FastAPI()
    app.include_router(unsubscribe_router(links, kafka, kafka))  # type: ignore[arg-type]
    token = links.token(Unsubscription(new_mail_id(), "a@x.test", "letter"))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert (await client.post(f"/u/{token}")).status_code == 200
    assert kafka.done == ["mail.attempts", "mail.preferences"]

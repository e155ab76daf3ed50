"""What OpenAPI says of an answer is what is answered."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from console.answer_models import ANSWERS
from console.describe_api import describe_api
from contracts import clock
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status
from contracts.suppressions import SuppressionChange, SuppressionReason
from tests.integration.console_log import Log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    settings = {
        "channels": {"helpdesk": {"address": "support@example.com"}},
        "inbound": {"domains": {"example.com": {}}},
    }
    log = Log(tmp_path_factory.mktemp("openapi"), settings)
    yield log
    log.close()


@pytest.fixture(scope="module")
def document(log: Log) -> dict[str, Any]:
    return describe_api(log.app)


def check(document: dict[str, Any], method: str, path: str, answer: Any) -> None:
    success = next(
        one for status, one in document["paths"][path][method.lower()]["responses"].items() if status.startswith("2")
    )
    schema = {**success["content"]["application/json"]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)


def test_every_answer_without_a_model_of_its_own_has_the_shape_that_is_told(log: Log, document: dict[str, Any]) -> None:
    mail_id = log.add(
        "gone@x.test", Status.DELIVERY_FAILED, direction=Direction.OUTBOUND, reason=Reason.INVALID_ADDRESS, attempt=1,
        bounce=(BounceType.HARD, BounceClass.INVALID_RECIPIENT), answer="5.1.1 unknown", raw=b"Subject: x\r\n\r\n",
    )  # fmt: skip
    log.add(channel="helpdesk", age=timedelta(hours=1), headers=[("Subject", "x"), ("References", "<a@b>")])
    change = SuppressionChange(action="added", at=clock.now(), by="anna", reason=SuppressionReason.MANUAL)
    log.suppressions.put("anna@x.test", change)
    asked = {
        ("GET", "/api/v1/mails"): "/api/v1/mails",
        ("GET", "/api/v1/mails/{mail_id}"): f"/api/v1/mails/{mail_id}",
        ("GET", "/api/v1/channels"): "/api/v1/channels",
        ("GET", "/api/v1/channels/{name}/connectivity"): "/api/v1/channels/helpdesk/connectivity",
        ("GET", "/api/v1/channels/{name}/mails"): "/api/v1/channels/helpdesk/mails",
        ("GET", "/api/v1/suppressions"): "/api/v1/suppressions",
        ("GET", "/api/v1/suppressions/{address}"): "/api/v1/suppressions/anna@x.test",
        ("GET", "/api/v1/suppressions/{address}/history"): "/api/v1/suppressions/anna@x.test/history",
    }
    for (method, path), url in asked.items():
        answer = log.http.get(url)
        assert answer.status_code == 200, answer.text
        check(document, method, path, answer.json())
        assert (method, path) in ANSWERS
    put = log.http.put("/api/v1/suppressions/new@x.test", json={})
    check(document, "PUT", "/api/v1/suppressions/{address}", put.json())
    check(
        document, "DELETE", "/api/v1/suppressions/{address}", log.http.delete("/api/v1/suppressions/new@x.test").json()
    )
    done = log.http.post("/api/v1/suppressions:remove", json={"addresses": ["anna@x.test", "other@x.test"]})
    check(document, "POST", "/api/v1/suppressions:remove", done.json())


def test_an_error_of_every_kind_has_the_one_shape(log: Log, document: dict[str, Any]) -> None:
    shape = {"$ref": "#/components/schemas/ErrorBody", "components": document["components"]}
    for status, answer in (
        (401, log.http.get("/api/v1/mails", headers={"Authorization": ""})),
        (403, log.http.get("/api/v1/audit", headers={"Authorization": f"Bearer {log.new_token(('read',))}"})),
        (404, log.http.get("/api/v1/mails/x")),
        (405, log.http.patch("/api/v1/mails")),
        (422, log.http.get("/api/v1/audit?since=0.5")),
        (422, log.http.get("/api/v1/audit?since=2026-11-27T12:00:00")),
        (422, log.http.put("/api/v1/suppressions/a@x.test", json={"expires_at": 1893456000})),
        (422, log.http.get("/api/v1/mails?limit=0")),
        (422, log.http.get("/api/v1/mails?color=red")),
        (422, log.http.post("/api/v1/redeliver", content=b"{")),
    ):
        assert answer.status_code == status, answer.text
        jsonschema.Draft202012Validator(shape).validate(answer.json())
    assert log.http.patch("/api/v1/mails").headers["Allow"] == "GET"
    assert log.http.get("/api/v1/audit?since=2026-11-27T12:00:00%2B01:00").status_code == 200

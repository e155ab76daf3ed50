"""The whole path on what a cluster has: TLS and SCRAM with ACLs on three brokers, a ClickHouse server with users, a folder a stage."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from contracts.acls import principal
from tests.e2e.deployment import Deployment
from tests.e2e.pipeline import ROOT
from tests.fakes.kafka_cluster import ADMIN, client_of
from tests.fakes.status_subscriber import StatusSubscriber
from tests.wait_for import wait_for

pytestmark = pytest.mark.alone  # three brokers and ten processes with TLS


@pytest.fixture(scope="module")
def subscriber(free_port: Callable[[], int]) -> Iterator[StatusSubscriber]:
    running = StatusSubscriber(free_port(), "whsec_" + "c3Vi" * 8).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, subscriber: StatusSubscriber) -> Iterator[Deployment]:
    running = Deployment(tmp_path_factory.mktemp("deployed"))
    url = f"http://127.0.0.1:{subscriber.port}/status"
    running.change(subscriptions={"warehouse": {"url": url, "secret": subscriber.secret, "domains": ["ours.test"]}})
    try:
        yield running.start()
    finally:
        running.close()


def test_a_mail_is_taken_handled_forwarded_and_found(deployed: Deployment) -> None:
    for recipient, status in (("desk@ours.test", "processed"), ("fwd-a@ours.test", "forwarded")):
        raw, message_id = deployed.mail(recipient)
        assert deployed.send(raw, recipient)[0] == 250
        (row,) = deployed.settled(message_id)
        assert row["status"] == status and row["dkim"] == "pass"
        assert deployed.get(f"/mails/{row['mail_id']}/raw").content == raw


def test_mail_that_we_send_is_delivered_and_a_large_one_too(deployed: Deployment) -> None:
    for text in ("hi\n", "x" * 76 + "\r\n", "0123456789" * 7 + "\r\n"):
        mail_id = deployed.submit("anna@partner.test", text=text * (1 if len(text) < 10 else 6000))
        assert deployed.outcome(mail_id)["recipients"][0]["status"] == "delivered"
    assert len(deployed.s3.files()) == 2, "two were too large for a record"


def test_a_status_webhook_hears_each_change_and_the_log_of_deliveries_says_so(
    deployed: Deployment, subscriber: StatusSubscriber
) -> None:
    mail_id = deployed.submit("hooked@partner.test")
    deployed.outcome(mail_id)
    assert wait_for(lambda: len(subscriber.about(mail_id)) >= 2, 30)
    assert sorted(subscriber.about(mail_id)) == ["delivered", "sent"] and not subscriber.forged
    path = "/subscriptions/warehouse/deliveries"
    assert wait_for(lambda: len(deployed.get(path, mail_id=mail_id).json()["items"]) == 2, 30)
    (subscription,) = deployed.get("/subscriptions").json()["items"]
    assert subscription["health"] == "active" and subscription["waiting"] is not None
    told = {one["event_id"] for one in deployed.get(path, mail_id=mail_id).json()["items"]}
    assert told == {call.id for call in subscriber.calls if call.event["data"]["mail_id"] == mail_id}


def test_who_is_suppressed_is_refused_by_every_replica(deployed: Deployment) -> None:
    deployed.outside.partner.plan["gone@partner.test"] = b"550 5.1.1 no such user"
    first = deployed.outcome(deployed.submit("gone@partner.test"))["recipients"][0]
    assert first["status"] == "delivery_failed"
    assert wait_for(lambda: deployed.get("/suppressions/gone@partner.test").status_code == 200)
    assert deployed.outcome(deployed.submit("gone@partner.test"))["recipients"][0]["status"] == "rejected"


def test_what_helm_test_runs_sends_a_mail_and_finds_it(deployed: Deployment, tmp_path: Path) -> None:
    own = {
        "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(deployed.base + 25), "API": deployed.api, "SENDER": "anna@good.test",
        "RECIPIENT": "drop@open.test", "TOKEN_FILE": str(deployed.folder / "first-token"),
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "helm/mailscope/files/try_mail.py")]
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "found: " in done.stdout, done.stdout + done.stderr


def test_an_address_is_erased_where_the_console_may_only_read(deployed: Deployment) -> None:
    mail_id = deployed.submit("forget.me@partner.test")
    deployed.outcome(mail_id)
    environ = {**deployed.environ, "MAILSCOPE_TOKEN": deployed.token}
    command = [sys.executable, "-m", "mailscope", "erase", "forget.me@partner.test", "--yes"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert wait_for(lambda: deployed.get("/mails", to="forget.me@partner.test").json()["items"] == [])
    assert deployed.get(f"/mails/{mail_id}").status_code in (404, 410)


def test_dead_letters_go_back_by_the_console_and_by_a_command_with_its_user(deployed: Deployment) -> None:
    producer = Producer({"bootstrap.servers": deployed.bootstrap, **client_of(deployed.kafka_folder / "ca.pem", ADMIN)})
    for topic in ("mail.dispatch", "mail.events"):
        producer.produce(topic, b'{"junk": 1', key=b"junk")
    assert producer.flush(20) == 0

    def waiting() -> dict[str, str]:
        items = deployed.get("/dead-letters", waiting=True).json()["items"]
        return {one["topic"]: one["id"] for one in items}

    assert wait_for(lambda: set(waiting()) == {"mail.dispatch", "mail.events"}, 30), waiting()
    for letter in waiting().values():
        done = deployed.post("/dead-letters:replay", {"ids": [letter]})
        assert done.status_code == 202 and done.json()["replayed"] == 1, done.text
    for command in (("replay",), ("token", "list")):
        words = [sys.executable, "-m", "mailscope", *command]
        typed = subprocess.run(
            words, cwd=ROOT, env=deployed.environ_of("console"), capture_output=True, text=True, timeout=60, check=False
        )
        assert typed.returncode == 0 and typed.stdout, typed.stderr


def test_the_log_is_complete_and_counted_and_the_system_is_well(deployed: Deployment) -> None:
    now = deployed.get("/mails", limit=1).json()["complete_until"]
    assert wait_for(lambda: (deployed.get("/mails", limit=1).json()["complete_until"] or "") > (now or ""), 30)
    counted = deployed.get("/stats/volume", since="1h").json()
    assert counted["items"], counted
    system = deployed.get("/system").json()
    assert {stage["name"] for stage in system["stages"]} >= {"inbound", "delivery", "clickhouse"}
    assert not [one for one in system["troubles"] if "Kafka" in str(one) or "store" in str(one)], system["troubles"]
    compared = deployed.get("/reconciliation").json()
    assert compared["taken"] and [kind["mails"] for kind in compared["missing"]] == [0, 0], compared


def test_a_role_has_all_rights_that_it_needs(deployed: Deployment) -> None:
    """What a stage may not do, its client complains of."""
    said = [line for line in deployed.log().splitlines() if "AUTHORIZATION" in line or "ACCESS_DENIED" in line]
    assert said == [], said[:5]


def test_whoever_has_a_stages_password_can_do_no_more_than_the_stage(deployed: Deployment) -> None:
    ca_file = deployed.kafka_folder / "ca.pem"
    smtp = Producer({"bootstrap.servers": deployed.bootstrap, **client_of(ca_file, principal("smtp"))})
    told: list[int] = []
    for topic in ("mail.tokens", "mail.events", "mail.raw"):
        smtp.produce(topic, b"x", on_delivery=lambda error, _message: told.append(error.code() if error else 0))
        smtp.flush(20)
    assert told == [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED, 0]
    wrong = {**client_of(ca_file, principal("smtp")), "sasl.password": "guessed"}
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": deployed.bootstrap, **wrong, "log_level": 0}).list_topics(timeout=5)


def test_without_its_store_the_console_stays_in_its_service_and_takes_what_is_sent(deployed: Deployment) -> None:
    console = f"http://127.0.0.1:{deployed.base + 80}"
    deployed.server.kill()
    try:
        assert wait_for(lambda: httpx.get(f"{console}/readyz", trust_env=False).status_code == 503, 30)
        assert httpx.get(f"{console}/readyz?exclude=store", trust_env=False).status_code == 200
        assert deployed.get("/mails").json()["error"]["code"] == "store_unavailable"
        mail_id = deployed.submit("later@partner.test")
    finally:
        deployed.server.start()
    assert wait_for(lambda: httpx.get(f"{console}/readyz", trust_env=False).status_code == 200, 30)
    assert deployed.outcome(mail_id)["recipients"][0]["status"] == "delivered"

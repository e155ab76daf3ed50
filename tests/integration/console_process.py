"""A console in a process of its own, which can be stopped and told of new mail: `python -m tests.integration.console_process FOLDER PORT`.

It fills its log, says its token, and then adds a mail for each line that it reads, with that subject; a line `counts within SECONDS`
says how long a page waits for its numbers from then on."""

import random
import sys
import threading
from datetime import timedelta
from pathlib import Path

import uvicorn

from contracts import clock
from contracts.audit import AuditAction, AuditEntry
from contracts.codec import encode_audit_entry
from contracts.records import ConsumedRecord
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status
from sinks.clickhouse.build_hours import build_once
from sinks.clickhouse.to_rows import audit_rows
from tests.integration.console_log import Log, mail_id_at

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e" + "w" * 90
HARD = (BounceType.HARD, BounceClass.INVALID_RECIPIENT)
ANSWER = "5.1.1 The account does not exist: see https://mx.partner.example/help"


def fill(log: Log) -> None:
    """Mail of the last hours in all colours, the newest of it known by its subject."""
    choose = random.Random(5)
    for number in range(80):
        age = timedelta(minutes=15 + number * 20)
        domain = choose.choice(("good.example", "shop.example", "mail.example"))
        if number % 2:
            status = choose.choice((Status.PROCESSED, Status.SKIPPED, Status.REJECTED))
            log.add(
                from_=f"anna@{domain}",
                status=status,
                age=age,
                channel="helpdesk",
                spf="pass",
                dkim="fail",
                dmarc="pass",
            )
        else:
            failed = number % 10 == 0
            log.add(
                f"tom@{domain}", Status.DELIVERY_FAILED if failed else Status.DELIVERED, direction=Direction.OUTBOUND, age=age,
                from_="desk@ours.example", from_name="Service desk", template=choose.choice(("Invitation", "Digest")), attempt=1,
                bounce=HARD if failed else None, answer=ANSWER if failed else "2.0.0 OK",
            )  # fmt: skip
    for hours, state in ((30, "delivery=1"), (9, "delivery=2 inbound=1")):
        at = clock.now() - timedelta(hours=hours)
        act = AuditEntry(
            id=mail_id_at(at), at=at, actor="console", actor_id="", action=AuditAction.CONFIGURED, detail=state
        )
        log.insert(audit_rows(ConsumedRecord("mail.audit", 0, hours, None, encode_audit_entry(act, "test"), [])))
    for one in ({"from_": EVIL, "from_name": EVIL}, {"from_": "eve@evil.example"}):
        log.add(
            f"{EVIL}@x.example",
            Status.FAILED,
            age=timedelta(minutes=10),
            subject=EVIL,
            template=EVIL,
            channel=EVIL,
            detail=EVIL,
            **one,
        )
    log.add(
        "gone@shop.example", Status.DELIVERY_FAILED, direction=Direction.OUTBOUND, age=timedelta(minutes=6), from_="desk@ours.example",
        subject="It bounced", template="Invitation", attempt=2, bounce=HARD, answer=ANSWER, reason=Reason.INVALID_ADDRESS,
        raw=b"Subject: It bounced\r\n\r\nx",
    )  # fmt: skip


def main(folder: Path, port: int) -> None:
    log = Log(folder)
    fill(log)
    while build_once(log.store):
        pass
    server = uvicorn.Server(uvicorn.Config(log.app, "127.0.0.1", port, log_level="error", lifespan="off"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        pass
    print(log.token, flush=True)
    for line in sys.stdin:
        if line.startswith("counts within "):
            vars(log.settings.console)["counts_within"] = timedelta(seconds=float(line.split()[-1]))
        else:
            log.add(subject=line.strip(), age=timedelta(0))
        print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

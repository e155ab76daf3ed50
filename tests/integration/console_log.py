"""A log for the console's tests: the real schema in the embedded engine, rows made from events as the sink makes them."""

import gc
import random
import threading
import time
import uuid
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from fastapi.testclient import TestClient

from console.audit import Audit
from console.change_suppressions import SuppressionDesk
from console.query_store import StoreQueries
from console.serve_console import create_app
from console.serve_lists import LARGE_BODIES, list_routers
from console.serve_tokens import tokens_router
from console.sessions import Sessions
from console.tokens import SCOPES, Tokens
from contracts import clock
from contracts.auth_results import AuthResults
from contracts.codec import encode_connectivity, encode_mail_event
from contracts.events import Attempt, Bounce, ChannelState, Connectivity, MailEvent, Outcome, RawPointer, Summary
from contracts.raw_message import Blob, Envelope, RawType, encode_headers
from contracts.records import ConsumedRecord
from contracts.settings import Settings
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status, is_terminal
from runtime.open_store import Store
from sinks.clickhouse.migrate_store import migrate_store
from sinks.clickhouse.to_rows import Row, Rows, connectivity_rows, event_rows, raw_rows
from tests.fakes.address_list import PreferenceList, SuppressionList
from tests.fakes.record_list import RecordList
from tests.fakes.token_table import TokenTable


def mail_id_at(moment: datetime) -> str:
    """A UUIDv7 of that moment."""
    return str(uuid.UUID(int=clock.to_ms(moment) << 80 | 7 << 76 | 2 << 62 | random.getrandbits(62)))


class Log:
    """A store in a folder of its own, and a client of the API and the pages above it."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None) -> None:
        given = settings or {}
        patient = {"counts_within": "15s", **given.get("console", {})}  # a busy machine shall not make another page
        self.settings = Settings(data_dir=folder, **{**given, "console": patient})
        self.store = Store(self.settings)
        migrate_store(self.store, self.settings)
        self._offset = 0
        self._types: dict[str, dict[str, str]] = {}
        self.tokens = TokenTable()
        self.written = RecordList()

        async def no_uses() -> dict[str, str]:
            return {}

        self.suppressions, wishes = SuppressionList(), cast(Any, PreferenceList())
        self._queries = StoreQueries(self.store, self.settings.store.query_memory)
        audit, nobody = Audit(self.written), cast(Any, None)
        lists = list_routers(self.settings, self._queries, cast(Any, self.suppressions), wishes, nobody, audit)
        self.app = create_app(
            self.settings,
            self.store,
            Tokens(self.tokens, self.settings.console.oidc.issuer if self.settings.console.oidc else ""),
            Sessions(self.tokens, self.tokens),
            self.written,
            SuppressionDesk(cast(Any, self.suppressions), cast(Any, None)),
            routers=[*lists, tokens_router(self.tokens, self.tokens, audit, no_uses)],
            large_bodies=LARGE_BODIES,
        )
        self.http = TestClient(self.app, raise_server_exceptions=False, follow_redirects=False)
        self.http.__enter__()
        self.token = self.new_token()
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def close(self) -> None:
        """Let another module open its own store in this process."""
        self.http.__exit__(None, None, None)
        self._queries.close()
        self.store.client.close()
        self.store.forget()
        while any(thread.name.startswith("store") for thread in threading.enumerate()):
            time.sleep(0.01)  # a thread's client goes with its thread
        gc.collect()

    def new_token(self, scopes: tuple[str, ...] = SCOPES, domains: tuple[str, ...] = ()) -> str:
        return self.tokens.create("test", list(scopes), list(domains))

    def add(
        self,
        recipient: str = "support@example.com",
        status: Status = Status.PROCESSED,
        *,
        age: timedelta = timedelta(minutes=1),
        direction: Direction = Direction.INBOUND,
        mail_id: str = "",
        reason: Reason | None = None,
        detail: str = "",
        attempt: int = 0,
        late: bool = False,
        bounce: tuple[BounceType, BounceClass] | None = None,
        answer: str = "",
        enhanced_code: str = "",
        auth: AuthResults | None = None,
        headers: list[tuple[str, str]] | None = None,
        raw: bytes | None = None,
        raw_size: int | None = None,
        **summary: Any,
    ) -> str:
        """One event, and the message when `raw` is given; returns the mail's id."""
        moment = clock.now() - age
        mail_id = mail_id or mail_id_at(moment)
        received = clock.from_ms(uuid.UUID(mail_id).int >> 80)
        size = raw_size if raw_size is not None else len(raw or b"") or 512
        mail = Summary(
            **{"from_": "anna@partner.example", "subject": "Hello", "received_at": received, "size": size, **summary}
        )
        attempts = [
            Attempt(
                number=attempt,
                target=recipient,
                outcome=Outcome.PERMANENT if bounce else Outcome.ACCEPTED,
                started_at=received,
                host="mx.partner.example",
                ip="192.0.2.1",
                command="RCPT",
                code=550 if bounce else 250,
                text=answer,
            )
        ]
        event = MailEvent(
            mail_id=mail_id,
            recipient=recipient,
            direction=direction,
            status=status,
            terminal=is_terminal(status),
            late=late,
            occurred_at=received + timedelta(milliseconds=5),
            attempt=attempt,
            reason=reason,
            detail=detail,
            mail=mail,
            bounce=Bounce(
                bounce_type=bounce[0],
                bounce_class=bounce[1],
                rule="r",
                rules_version="1",
                code=550,
                enhanced_code=enhanced_code,
                text=answer,
                command="RCPT",
                host="mx.partner.example",
            )
            if bounce
            else None,
            attempts=attempts if attempt else [],
            raw=RawPointer(topic="mail.raw", partition=0, offset=0) if raw is not None else None,
            auth=auth,
            headers=headers or [],
        )
        self._offset += 1
        self.insert(
            event_rows(ConsumedRecord("mail.events", 0, self._offset, None, encode_mail_event(event, "test"), []))
        )
        if raw is not None:
            self.add_raw(mail_id, raw)
        return mail_id

    def add_gap(
        self, channel: str, state: str, age: timedelta, lasts: timedelta | None = None, **more: Any
    ) -> datetime:
        """A row of the connectivity log; when it began."""
        began = clock.now() - age
        ended = began + lasts if lasts is not None else None
        change = Connectivity(channel=channel, state=ChannelState(state), occurred_at=began, ended_at=ended, **more)
        self._offset += 1
        record = ConsumedRecord("mail.connectivity", 0, self._offset, None, encode_connectivity(change, "test"), [])
        self.insert(connectivity_rows(record))
        return began

    def add_raw(self, mail_id: str, octets: bytes, blob: Blob | None = None) -> None:
        """The message itself, inline or by claim check."""
        envelope = Envelope(
            mail_id=mail_id,
            type=RawType.ACCEPTED,
            direction=Direction.INBOUND,
            received_at=clock.now(),
            envelope_from="anna@partner.example",
            recipients=["support@example.com"],
            size=len(octets),
            blob=blob,
        )
        self._offset += 1
        value = b"" if blob else octets
        record = ConsumedRecord("mail.raw", 0, self._offset, None, value, encode_headers(envelope, "test"))
        self.insert(raw_rows(record))

    def insert(self, rows: Rows) -> None:
        """Rows of several tables, as the sink inserts them."""
        tables: dict[str, list[Row]] = defaultdict(list)
        for table, row in rows:
            tables[table].append(row)
        client = self.store.client
        for table, lines in tables.items():
            if table not in self._types:
                self._types[table] = {str(c[0]): str(c[1]) for c in client.query(f"DESCRIBE TABLE {table}").result_rows}
            names = list(lines[0])
            client.insert(
                table,
                [[line[name] for line in lines] for name in names],
                column_names=names,
                column_type_names=[self._types[table][name] for name in names],
                column_oriented=True,
            )

    def search(self, **parameters: Any) -> list[str]:
        """The subjects that a search finds, in its order."""
        answer = self.http.get("/api/v1/mails", params={name.rstrip("_"): value for name, value in parameters.items()})
        assert answer.status_code == 200, answer.text
        return [item["subject"] for item in answer.json()["items"]]

    def pages(self, limit: int, **parameters: Any) -> list[list[dict[str, Any]]]:
        """Every page of a search."""
        found, cursor = [], None
        while True:
            given = {**parameters, "limit": limit, **({"cursor": cursor} if cursor else {})}
            answer = self.http.get("/api/v1/mails", params=given)
            assert answer.status_code == 200, answer.text
            found.append(answer.json()["items"])
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return found

    def browser(self, token: str = "") -> TestClient:
        """A client that behaves like a browser that is logged in (or is not, without a token)."""
        client = TestClient(self.app, raise_server_exceptions=False, follow_redirects=False)
        client.headers["Accept"] = "text/html,application/xhtml+xml"
        if token:
            client.cookies.set("mailscope_session", self.tokens.log_in(token))
        return client

"""`mailscope ingest postfix-log`: what a Postfix does, told to the API, so that the log is complete whoever sends."""

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import httpx

from commands.ask_api import api_client, leave, settings_or_leave
from contracts import clock
from ingest.attempts.attempt_items import MAX_TEXT, AttemptItem
from ingest.attempts.follow_postfix import PostfixFollower
from runtime.own_folder import own_folder

WAIT_AGAIN = 1.0, 30.0  # seconds after the first answer that did not come, and at most


@click.command("postfix-log")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--source", help="The name that rows show for this server; its host name where none is given.")
@click.option("--once", is_flag=True, help="Read what is there, and end.")
def postfix_log(file: Path, source: str | None, once: bool) -> None:
    """Follow the log FILE of a Postfix, over its rotations and restarts of this command, and report every attempt to the API
    (MAILSCOPE_TOKEN, scope `send`): deliveries, deferrals and bounces, refusals before the queue, discards."""
    settings = settings_or_leave()
    name = source or socket.gethostname().partition(".")[0]
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is None:
        leave(f"'{name}' is no name for a source: letters, digits, dots and hyphens", 2)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    own_folder(settings.data_dir)
    folder = settings.data_dir / "run"
    folder.mkdir(exist_ok=True)
    client, base = api_client(settings)
    teller = _Teller(client, f"{base}/api/v1/attempts", name, stop)
    follower = PostfixFollower(file, folder / f"postfix-log.{name}.json", teller.tell, lambda: clock.now().astimezone())
    try:
        if once:
            while follower.step() and not stop.is_set():
                pass
        else:
            follower.run(stop.is_set)
    except OSError as error:
        leave(f"{file}: {error.strerror}", 66)
    except _Stopped:
        pass
    click.echo(f"{teller.told} attempts told", err=True)


class _Stopped(Exception):
    pass


class _Teller:
    """Tells attempts, as long as it takes: what is not written down is told again."""

    def __init__(self, client: httpx.Client, url: str, source: str, stop: threading.Event) -> None:
        self._client = client
        self._url = url
        self._source = source
        self._stop = stop
        self.told = 0

    def tell(self, items: Sequence[AttemptItem]) -> None:
        body = {"source": self._source, "items": [_as_json(item) for item in items]}
        pause, most = WAIT_AGAIN
        while True:
            answer = self._ask(body)
            if answer is not None:
                self.told += answer["accepted"]
                for one in answer["rejected"]:
                    click.echo(
                        f"not taken: {one['message']} ({json.dumps(body['items'][one['index']])[:300]})", err=True
                    )
                return
            if self._stop.wait(pause):
                raise _Stopped
            pause = min(pause * 2, most)

    def _ask(self, body: dict[str, Any]) -> Any:
        """The answer; None when it has to be told again."""
        try:
            response = self._client.post(self._url, json=body)
        except httpx.HTTPError as error:
            click.echo(f"{self._url} does not answer ({error}): waiting", err=True)
            return None
        if response.status_code in (429, 500, 502, 503, 504, 507):
            click.echo(f"{self._url} answered {response.status_code}: waiting", err=True)
            time.sleep(min(30.0, float(response.headers.get("Retry-After", "0") or 0)))
            return None
        if response.is_error:
            leave(f"{self._url} answered {response.status_code} {response.text[:300]}", 1)
        return response.json()


def _as_json(item: AttemptItem) -> dict[str, Any]:
    told = {name: value for name, value in asdict(item).items() if value}
    told["text"] = item.text[:MAX_TEXT]  # 500 of them have to fit into a request
    told["from"] = told.pop("sender", "")
    told["time"] = clock.rfc3339(item.time)
    return told

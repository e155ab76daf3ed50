"""`make bench-search ROWS=1000000`: how long each page and each answer of the API takes over a log of so many mails. Nothing is asserted.

Each is asked ROUNDS times, without the store's own memory of earlier conditions; what the browser and the network take is not in it."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.fill_log import fill_log
from tests.integration.console_log import Log

ROUNDS = 15
ASKED = {
    "Activity": "/",
    "Activity, 7 days": "/?since=7d",
    "Activity, 21 days": "/?since=21d",
    "Activity, failed, 24 h": "/?status=delivery_failed,failed",
    "Activity, failed, 21 days": "/?status=delivery_failed,failed&since=21d",
    "Activity, one domain": "/?domain=customer7.example",
    "Activity, one domain, 21 days": "/?domain=customer7.example&since=21d",
    "Activity, one template hidden, 7 days": "/?template=!Invitation&since=7d",
    "Activity, one person": "/?q=person5@customer7.example",
    "Activity, words of a subject": "/?q=printer",
    "Live rows": "/activity/rows?live=1",
    "Trends": "/trends",
    "Trends, 21 days": "/trends?since=21d",
    "Trends by provider, 21 days": "/trends?since=21d&by=provider",
    "Trends by domain, 21 days": "/trends?since=21d&by=domain",
    "Trends of one domain, 21 days": "/trends?since=21d&domain=customer7.example",
    "API mails": "/api/v1/mails",
    "API facets": "/api/v1/facets",
    "API facets, failed": "/api/v1/facets?status=delivery_failed",
    "API facets, dmarc failed": "/api/v1/facets?dmarc=fail",
    "API volume": "/api/v1/stats/volume",
    "API delivery rate by domain": "/api/v1/stats/delivery_rate?by=domain",
    "API latency, dmarc failed, 24 h": "/api/v1/stats/latency?dmarc=fail&since=24h",
}


def main(rows: int, folder: Path) -> None:
    log = Log(folder, {"console": {"counts_within": "200ms"}})  # as it is, where nothing is set
    try:
        if not log.store.client.query("SELECT count() FROM mails").result_rows[0][0]:
            print(f"filling a log of {rows:,} mails …", flush=True)
            fill_log(log.store, rows)
        log.store.client.command("SYSTEM DROP QUERY CONDITION CACHE")
        browser = log.browser(log.token)
        mail_id = log.http.get("/api/v1/mails?limit=1").json()["items"][0]["mail_id"]
        print(f"{'':40}{'p50':>8}{'p95':>8}  ms, {rows:,} mails, {ROUNDS} rounds")
        for name, path in {**ASKED, "A mail": f"/mails/{mail_id}", "A row unfolds": f"/mails/{mail_id}/row"}.items():
            took = []
            for _ in range(ROUNDS):
                began = time.monotonic()
                answer = (log.http if path.startswith("/api") else browser).get(path)
                took.append((time.monotonic() - began) * 1000)
            wrong = "" if answer.status_code == 200 else f"  {answer.status_code}"
            took.sort()
            print(f"{name:40}{statistics.median(took):8.0f}{took[-1 - len(took) // 20]:8.0f}{wrong}", flush=True)
    finally:
        log.close()


if __name__ == "__main__":
    if len(sys.argv) > 2:  # a folder that is kept
        main(int(sys.argv[1]), Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory(prefix="mailscope-bench-") as made:
            main(int(sys.argv[1]), Path(made))

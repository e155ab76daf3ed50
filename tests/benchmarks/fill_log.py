"""Fill the log store with made-up mail of three weeks, as fast as it takes it: what a busy desk's log looks like, by fixed proportions."""

import time

from clickhouse_connect.driver.exceptions import ClickHouseError

from runtime.open_store import Store
from sinks.clickhouse.build_hours import build_once

BATCH = 250_000
DAYS = 21
_ROWS = """
INSERT INTO mails (received_at, mail_id, recipient, ver, direction, status, terminal, reason, detail, sender, sender_name, subject,
    message_id, reference, channel, stream, template, sender_domain, recipient_domain, updated_at, size, spf, dkim, dmarc, bounce_type,
    bounce_class, smtp_code, smtp_text, host, provider, attempts, event_id, _topic)
WITH
    rand64(1) AS r, number + {first} AS n,
    toUInt64(toUnixTimestamp64Milli(now64(3))) - intDiv({span_ms} * ({rows} - n), {rows}) AS ms,
    r % 100 AS share, r % 2 = 0 AS outbound, intDiv(r, 128) % 997 AS person,
    concat('customer', toString(least(intDiv(r, 7) % 900, intDiv(r, 11) % 900)), '.example') AS other,
    ['google.com', 'outlook.com', 'yahoodns.net', 'icloud.com', 'messagelabs.com', 'other'] AS providers,
    providers[1 + least(intDiv(r, 13) % 6, intDiv(r, 17) % 6)] AS who,
    multiIf(share < 4, 'delivery_failed', share < 6, 'deferred', share < 7, 'failed', share < 15 AND NOT outbound, 'rejected',
        outbound, 'delivered', share < 80, 'processed', 'forwarded') AS fate,
    ['invalid_recipient', 'mailbox_full', 'reputation_blocked', 'greylisted'][1 + intDiv(r, 19) % 4] AS class,
    leftPad(lower(hex(ms)), 12, '0') AS moment, leftPad(lower(hex(r)), 16, '0') AS noise
SELECT fromUnixTimestamp64Milli(toInt64(ms), 'UTC'),
    toUUID(concat(substring(moment, 1, 8), '-', substring(moment, 9, 4), '-7', substring(noise, 1, 3), '-8', substring(noise, 4, 3), '-',
        leftPad(lower(hex(n)), 12, '0'))),
    if(outbound, concat('person', toString(person), '@', other), 'desk@ours.example'),
    n, if(outbound, 'outbound', 'inbound'), fate, fate != 'deferred', if(fate = 'delivery_failed', 'invalid_address', ''),
    if(fate = 'delivery_failed', concat('mx.', other, ' answered 550 5.1.1 User unknown'), ''),
    if(outbound, 'desk@ours.example', concat('person', toString(person), '@', other)), if(outbound, 'Service desk', ''),
    concat(['Request created', 'Invitation to the portal', 'Printer on fire', 'Question about order'][1 + r % 4], ' ', toString(n)),
    concat(toString(n), '.', hex(r), '@ours.example'), concat('IT-', toString(intDiv(n, 3))), if(outbound, '', 'helpdesk'),
    if(outbound, 'request-notification', ''),
    if(outbound, ['Request created', 'Invitation', 'Request updated', 'Digest'][1 + intDiv(r, 5) % 4], ''),
    if(outbound, 'ours.example', other), if(outbound, other, 'ours.example'),
    fromUnixTimestamp64Milli(toInt64(ms + 200 + r % 4000), 'UTC'), 4000 + r % 9000,
    if(outbound OR share > 9, 'pass', 'fail'), if(outbound OR share > 5, 'pass', 'none'), if(outbound OR share > 7, 'pass', 'fail'),
    if(fate IN ('delivery_failed', 'deferred'), 'hard', ''), if(fate IN ('delivery_failed', 'deferred'), class, ''),
    if(fate = 'delivery_failed', 550, 250), if(fate = 'delivery_failed', '5.1.1 User unknown', '2.0.0 OK'), concat('mx.', who),
    if(outbound, who, ''), 1,
    generateUUIDv4(), 'mail.events'
FROM numbers({many})
"""


def fill_log(store: Store, rows: int) -> None:
    """Insert so many mails, the oldest first, fold the days as the store does by itself in time, and count the hours."""
    client, began = store.client, time.monotonic()
    for first in range(0, rows, BATCH):
        many = min(BATCH, rows - first)
        client.command(_ROWS.format(first=first, many=many, rows=rows, span_ms=DAYS * 86_400_000))
    client.command(
        "INSERT INTO recipients SELECT lower(recipient), received_at, mail_id FROM mails SETTINGS max_memory_usage = 4000000000"
    )
    print(f"  inserted in {time.monotonic() - began:.0f} s", flush=True)
    days = [
        row[0]
        for row in client.query(
            "SELECT DISTINCT partition FROM system.parts WHERE table = 'mails' AND active"
        ).result_rows
    ]
    for day in sorted(days)[:-1]:  # today goes on, and is not merged
        try:
            client.command(f"OPTIMIZE TABLE mails PARTITION '{day}' FINAL")
        except ClickHouseError as error:
            print(f"  {day} was not merged: {str(error)[:100]}")
    print(f"  merged in {time.monotonic() - began:.0f} s", flush=True)
    while build_once(store):
        pass
    print(f"  counted in {time.monotonic() - began:.0f} s", flush=True)

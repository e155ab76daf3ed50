-- Who runs the recipient's mail server: the registrable domain of the host that answered.
ALTER TABLE mails {on_cluster} ADD COLUMN IF NOT EXISTS provider LowCardinality(String) AFTER host;

-- What charts and facets count of a mail, said once for the table of hours and for what is counted directly.
ALTER TABLE mails {on_cluster} ADD COLUMN IF NOT EXISTS domains Array(String)
    ALIAS arrayFilter(one -> one != '', arrayDistinct([sender_domain, recipient_domain]));
ALTER TABLE mails {on_cluster} ADD COLUMN IF NOT EXISTS failed_checks Array(String)
    ALIAS if(direction = 'inbound', arrayFilter(
        (name, result) -> result IN ('fail', 'softfail', 'permerror', 'temperror', 'policy'),
        ['spf', 'dkim', 'dmarc'], [toString(spf), toString(dkim), toString(dmarc)]), []);
-- Quarter powers of two of the milliseconds from receipt to success, 1 for none more than one; 0 for a mail that has not got there.
ALTER TABLE mails {on_cluster} ADD COLUMN IF NOT EXISTS latency_bucket UInt8
    ALIAS if(status IN ('delivered', 'forwarded', 'processed') AND updated_at >= received_at,
        toUInt8(1 + 4 * log2(greatest(toUnixTimestamp64Milli(updated_at) - toUnixTimestamp64Milli(received_at), 1))), 0);

-- Yesterday's rows are folded once and for all: a partition that is one part is read without a fold.
ALTER TABLE mails {on_cluster} MODIFY SETTING min_age_to_force_merge_seconds = 7200, min_age_to_force_merge_on_partition_only = 1;

-- Mails counted by hour of receipt. A row holds all counts of one hour, measure and dimension, as arrays side by side, and is replaced
-- whole when the hour has changed: counts that were added up would drift.
CREATE TABLE IF NOT EXISTS hours {on_cluster}
(
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    measure LowCardinality(String),  -- what `word` is: status, bounce_class, failed_check, latency_bucket
    dimension LowCardinality(String),  -- what `value` is: domain, template, channel, bounce_class, provider; '' is all mails together
    direction Array(LowCardinality(String)) CODEC(ZSTD(1)),
    value Array(LowCardinality(String)) CODEC(ZSTD(1)),
    word Array(LowCardinality(String)) CODEC(ZSTD(1)),
    mails Array(UInt64) CODEC(T64, ZSTD(1)),
    seen DateTime64(3, 'UTC'),  -- the newest mark of this hour when it was counted
    built_at DateTime64(3, 'UTC')
)
ENGINE = {engine}(built_at)
PARTITION BY toYYYYMM(hour)
ORDER BY (measure, dimension, hour)
TTL hour + INTERVAL {retention_seconds} SECOND
SETTINGS index_granularity = 64;  -- rows of many counts, of which a chart reads one measure and dimension

-- When rows of an hour were last inserted: written by each insert into mails, after its rows, whoever makes it.
CREATE TABLE IF NOT EXISTS hour_marks {on_cluster}
(
    hour DateTime('UTC'),
    marked_at DateTime64(3, 'UTC')
)
ENGINE = {engine}(marked_at)
ORDER BY hour
TTL hour + INTERVAL {retention_seconds} SECOND;

CREATE MATERIALIZED VIEW IF NOT EXISTS mark_hours {on_cluster} TO hour_marks
AS SELECT DISTINCT toStartOfHour(toDateTime(received_at, 'UTC')) AS hour, now64(3, 'UTC') AS marked_at FROM mails;

INSERT INTO hour_marks SELECT DISTINCT toStartOfHour(toDateTime(received_at, 'UTC')), now64(3, 'UTC') FROM mails;

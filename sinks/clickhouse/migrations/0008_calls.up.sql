-- Calls of status webhooks: one row a call. No address stands here; the mail is named by its id.
CREATE TABLE IF NOT EXISTS calls {on_cluster}
(
    subscription LowCardinality(String),
    started_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id UUID,
    attempt UInt32,
    mail_id UUID,
    status LowCardinality(String),  -- of the change that it was called for
    outcome LowCardinality(String),
    code UInt16,  -- HTTP status; 0: nobody answered
    text String CODEC(ZSTD(1)),
    duration_ms UInt32,
    next_attempt_at Nullable(DateTime64(3, 'UTC')),
    health LowCardinality(String),  -- of the subscriber, after this call
    failing_since Nullable(DateTime64(3, 'UTC')),
    _topic LowCardinality(String),
    _partition UInt32,
    _offset UInt64
)
ENGINE = {engine}
PARTITION BY toDate(started_at)
ORDER BY (subscription, started_at, event_id, attempt)
TTL toDateTime(started_at) + INTERVAL {retention_seconds} SECOND
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1;

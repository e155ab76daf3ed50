-- The health of channels: one row a gap, written when it begins and again when it is over.
CREATE TABLE IF NOT EXISTS connectivity {on_cluster}
(
    channel String,
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    state LowCardinality(String),
    ended_at Nullable(DateTime64(3, 'UTC')),  -- of a gap that is over
    detail String CODEC(ZSTD(1)),
    delayed UInt64,  -- mails that arrived in the mailbox during the gap
    ver UInt64,  -- what is told last says most: the end, then the mails that were late
    _topic LowCardinality(String),
    _partition UInt32,
    _offset UInt64
)
ENGINE = {engine}(ver)
PARTITION BY toDate(occurred_at)
ORDER BY (channel, occurred_at, state)
TTL toDateTime(occurred_at) + INTERVAL {retention_seconds} SECOND
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1;

-- Who did what with the log.
CREATE TABLE IF NOT EXISTS audit {on_cluster}
(
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    id UUID,
    actor String CODEC(ZSTD(1)),
    actor_id String CODEC(ZSTD(1)),
    action LowCardinality(String),
    mail_id String CODEC(ZSTD(1)),
    recipient String CODEC(ZSTD(1)),
    detail String CODEC(ZSTD(1)),
    peer_ip String CODEC(ZSTD(1)),
    _topic LowCardinality(String),
    _partition UInt32,
    _offset UInt64
)
ENGINE = {engine}
PARTITION BY toDate(at)
ORDER BY (at, id)
TTL toDateTime(at) + INTERVAL {retention_seconds} SECOND
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1;

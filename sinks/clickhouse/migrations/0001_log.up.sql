-- The log: one row a mail and recipient (mails), its timeline (events), its octets (raw), what could not be used (dead_letters).
-- {engine} and {on_cluster} are filled in by migrate_store.py; times are UTC.

CREATE TABLE IF NOT EXISTS mails {on_cluster}
(
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),  -- the time inside mail_id: both say the same
    mail_id UUID,
    recipient String CODEC(ZSTD(1)),
    ver UInt64,  -- rank of the status, then attempt, time, and bits of event_id: computed from the event alone
    direction LowCardinality(String),
    status LowCardinality(String),
    terminal Bool,
    late Bool,
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    sender String CODEC(ZSTD(1)),
    sender_name String CODEC(ZSTD(1)),
    envelope_from String CODEC(ZSTD(1)),
    subject String CODEC(ZSTD(1)),
    message_id String CODEC(ZSTD(1)),
    reference String CODEC(ZSTD(1)),
    channel LowCardinality(String),
    stream LowCardinality(String),
    template LowCardinality(String),
    tag LowCardinality(String),
    sender_domain String CODEC(ZSTD(1)),
    recipient_domain String CODEC(ZSTD(1)),
    updated_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    size UInt64,
    peer_ip String CODEC(ZSTD(1)),
    helo String CODEC(ZSTD(1)),
    spf LowCardinality(String),
    dkim LowCardinality(String),
    dmarc LowCardinality(String),
    arc LowCardinality(String),
    iprev LowCardinality(String),
    bounce_type LowCardinality(String),
    bounce_class LowCardinality(String),
    smtp_code UInt16,
    enhanced_code LowCardinality(String),
    smtp_text String CODEC(ZSTD(1)),
    host LowCardinality(String),
    attempts UInt32,
    next_attempt_at Nullable(DateTime64(3, 'UTC')),
    event_id UUID,
    _topic LowCardinality(String),
    _partition UInt32,
    _offset UInt64,
    INDEX by_message_id message_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_sender lower(sender) TYPE text(tokenizer = 'array') GRANULARITY 100000000,
    INDEX by_sender_domain sender_domain TYPE text(tokenizer = 'array') GRANULARITY 100000000,
    INDEX by_recipient_domain recipient_domain TYPE text(tokenizer = 'array') GRANULARITY 100000000,
    INDEX by_reference reference TYPE text(tokenizer = 'array') GRANULARITY 100000000,
    INDEX by_subject lower(subject) TYPE text(tokenizer = ngrams(3)) GRANULARITY 100000000
)
ENGINE = {engine}(ver)
PARTITION BY toDate(received_at)
ORDER BY (received_at, mail_id, recipient)
TTL toDateTime(received_at) + INTERVAL {retention_seconds} SECOND
SETTINGS index_granularity = 1024, min_compress_block_size = 16384, max_compress_block_size = 65536, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS recipients {on_cluster}
(
    recipient String CODEC(ZSTD(1)),  -- lower-cased
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    mail_id UUID
)
ENGINE = {engine}
PARTITION BY toDate(received_at)
ORDER BY (recipient, received_at, mail_id)
TTL toDateTime(received_at) + INTERVAL {retention_seconds} SECOND
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS events {on_cluster}
(
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    mail_id UUID,
    recipient String CODEC(ZSTD(1)),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id UUID,
    status LowCardinality(String),
    data String CODEC(ZSTD(3)),  -- the event as it stood in Kafka (contracts.events.MailEvent, JSON)
    _topic LowCardinality(String),
    _partition UInt32,
    _offset UInt64
)
ENGINE = {engine}
PARTITION BY toDate(received_at)
ORDER BY (received_at, mail_id, recipient, event_id)
TTL toDateTime(received_at) + INTERVAL {retention_seconds} SECOND
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS raw {on_cluster}
(
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    mail_id UUID,
    size UInt64,
    blob_url String,  -- set for a large message: the octets are there, content is empty
    blob_sha256 String,
    content String CODEC(ZSTD(3)),
    _topic LowCardinality(String),
    _partition UInt32,
    _offset UInt64
)
ENGINE = {engine}
PARTITION BY toDate(received_at)
ORDER BY (received_at, mail_id)
TTL toDateTime(received_at) + INTERVAL {raw_retention_seconds} SECOND
SETTINGS index_granularity = 64, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS dead_letters {on_cluster}
(
    put_aside_at DateTime64(3, 'UTC'),
    stage LowCardinality(String),
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    source_topic LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64,
    key String,
    value String CODEC(ZSTD(3)),
    headers String CODEC(ZSTD(1)),
    _topic LowCardinality(String),
    _partition UInt32,
    _offset UInt64
)
ENGINE = {engine}
PARTITION BY toDate(put_aside_at)
ORDER BY (put_aside_at, _partition, _offset)
TTL toDateTime(put_aside_at) + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS progress {on_cluster}
(
    name LowCardinality(String),
    complete_until DateTime64(3, 'UTC'),
    written_at DateTime64(3, 'UTC')
)
ENGINE = {engine}(written_at)
ORDER BY name
TTL toDateTime(written_at) + INTERVAL {retention_seconds} SECOND;

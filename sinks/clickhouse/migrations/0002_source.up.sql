-- Who delivered a mail that we did not deliver ourselves, and its name there.
ALTER TABLE mails {on_cluster} ADD COLUMN IF NOT EXISTS source LowCardinality(String) AFTER host;
ALTER TABLE mails {on_cluster} ADD COLUMN IF NOT EXISTS source_id String CODEC(ZSTD(1)) AFTER source;
ALTER TABLE mails {on_cluster} ADD INDEX IF NOT EXISTS by_source_id source_id TYPE bloom_filter(0.001) GRANULARITY 1;

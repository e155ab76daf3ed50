-- Which mails were late by a gap; and where a channel or a status is rare, most of the log need not be read to find its mail.
ALTER TABLE connectivity {on_cluster} ADD COLUMN IF NOT EXISTS delayed_mails Array(UUID) CODEC(ZSTD(1)) AFTER delayed;
ALTER TABLE mails {on_cluster} ADD INDEX IF NOT EXISTS by_channel channel TYPE set(64) GRANULARITY 1;
ALTER TABLE mails {on_cluster} ADD INDEX IF NOT EXISTS by_status status TYPE set(32) GRANULARITY 1;

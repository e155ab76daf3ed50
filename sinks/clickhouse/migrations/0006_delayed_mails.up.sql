-- Which mails were late by a gap.
ALTER TABLE connectivity {on_cluster} ADD COLUMN IF NOT EXISTS delayed_mails Array(UUID) CODEC(ZSTD(1)) AFTER delayed;

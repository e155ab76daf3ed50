-- Erasing an address: rows of other mail that were written anew without it, and when a message was erased.
ALTER TABLE events {on_cluster} ADD COLUMN IF NOT EXISTS redacted Bool;
ALTER TABLE mails {on_cluster} ADD COLUMN IF NOT EXISTS redacted Bool;
ALTER TABLE raw {on_cluster} ADD COLUMN IF NOT EXISTS erased_at Nullable(DateTime64(3, 'UTC'));

ALTER TABLE raw {on_cluster} DROP COLUMN IF EXISTS erased_at;
ALTER TABLE mails {on_cluster} DROP COLUMN IF EXISTS redacted;
ALTER TABLE events {on_cluster} DROP COLUMN IF EXISTS redacted;

ALTER TABLE mails {on_cluster} DROP INDEX IF EXISTS by_source_id;
ALTER TABLE mails {on_cluster} DROP COLUMN IF EXISTS source_id;
ALTER TABLE mails {on_cluster} DROP COLUMN IF EXISTS source;

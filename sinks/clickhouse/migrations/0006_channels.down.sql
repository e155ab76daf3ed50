ALTER TABLE mails {on_cluster} DROP INDEX IF EXISTS by_status;
ALTER TABLE mails {on_cluster} DROP INDEX IF EXISTS by_channel;
ALTER TABLE connectivity {on_cluster} DROP COLUMN IF EXISTS delayed_mails;

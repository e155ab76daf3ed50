ALTER TABLE connectivity {on_cluster} DROP COLUMN IF EXISTS delayed_mails;

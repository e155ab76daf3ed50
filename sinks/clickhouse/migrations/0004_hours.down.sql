DROP VIEW IF EXISTS mark_hours {on_cluster};
DROP TABLE IF EXISTS hour_marks {on_cluster};
DROP TABLE IF EXISTS hours {on_cluster};
ALTER TABLE mails {on_cluster} RESET SETTING min_age_to_force_merge_seconds, min_age_to_force_merge_on_partition_only;
ALTER TABLE mails {on_cluster} DROP COLUMN IF EXISTS latency_bucket;
ALTER TABLE mails {on_cluster} DROP COLUMN IF EXISTS failed_checks;
ALTER TABLE mails {on_cluster} DROP COLUMN IF EXISTS domains;
ALTER TABLE mails {on_cluster} DROP COLUMN IF EXISTS provider;

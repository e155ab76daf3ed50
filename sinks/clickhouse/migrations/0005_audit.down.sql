DROP TABLE IF EXISTS audit {on_cluster};

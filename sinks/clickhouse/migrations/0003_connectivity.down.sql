DROP TABLE IF EXISTS connectivity {on_cluster};

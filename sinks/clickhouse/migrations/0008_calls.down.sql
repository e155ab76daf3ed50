DROP TABLE IF EXISTS calls {on_cluster};

DROP TABLE IF EXISTS progress {on_cluster};
DROP TABLE IF EXISTS dead_letters {on_cluster};
DROP TABLE IF EXISTS raw {on_cluster};
DROP TABLE IF EXISTS events {on_cluster};
DROP TABLE IF EXISTS recipients {on_cluster};
DROP TABLE IF EXISTS mails {on_cluster};

#!/bin/bash
# What the clickhouse-server image does: serve /var/lib/clickhouse with the users of /etc/clickhouse-server.
set -e
chown -R 101:101 /var/lib/clickhouse
exec setpriv --reuid=101 --regid=101 --clear-groups python3 /opt/clickhouse/launch.py

#!/bin/bash
# What the apache/kafka image does: KAFKA_… of the environment are properties, and a new folder is formatted.
set -e
file=/tmp/server.properties
: > "$file"
while IFS='=' read -r name value; do
  case "$name" in
    KAFKA_HEAP_OPTS) ;;
    KAFKA_*) key=$(echo "${name#KAFKA_}" | tr 'A-Z_' 'a-z.'); echo "$key=$value" >> "$file" ;;
  esac
done < <(env)
classpath=$(printf '%s:' /opt/kafka/libs/*.jar)
java=/opt/java/bin/java
if [ ! -e /var/lib/kafka/data/meta.properties ]; then
  "$java" -Xmx96m -cp "$classpath" kafka.tools.StorageTool format -t "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" -c "$file"
fi
exec "$java" $KAFKA_HEAP_OPTS -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$classpath" kafka.Kafka "$file"

#!/bin/sh
# Environment -> server.properties, format the log folder once, then become the broker.
# As in apache/kafka: KAFKA_FOO_BAR sets foo.bar; `__` stands for `_`, `___` for `-`.
set -eu
properties=/tmp/server.properties
data=${KAFKA_LOG_DIRS:-/var/lib/kafka/data}
export KAFKA_LOG_DIRS="$data"

env | awk -F= '/^KAFKA_/ && !/^KAFKA_(HEAP_OPTS|OPTS|JVM_PERFORMANCE_OPTS|LOG4J_OPTS)=/ {
  name = tolower(substr($1, 7)); value = substr($0, length($1) + 2)
  gsub(/___/, "\001", name); gsub(/__/, "\002", name); gsub(/_/, ".", name)
  gsub(/\001/, "-", name); gsub(/\002/, "_", name)
  print name "=" value
}' >"$properties"

set -- -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.awt.headless=true \
  --sun-misc-unsafe-memory-access=allow -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/libs/*'

if [ ! -f "$data/meta.properties" ]; then
  case $(cat "$properties") in *controller.quorum.voters=*) how="" ;; *) how=--standalone ;; esac
  # shellcheck disable=SC2086 # no option, or one
  java -Xmx128m "$@" kafka.tools.StorageTool format --cluster-id "${CLUSTER_ID:-ZHVseS1sb2NhbC1zdGFjaw}" $how \
    --config "$properties" >/dev/null
fi
# shellcheck disable=SC2086 # options are words
exec java ${KAFKA_HEAP_OPTS:--Xmx384m} "$@" kafka.Kafka "$properties"

#!/usr/bin/env bash
# What an operator sees through RabbitMQ's management API. Usage: operator.sh SANDBOX.JSON [GATEWAY]
# Counts, connections and rights; never contents: a message that is looked at there would be taken from its reader.
# Needs curl and jq.
set -euo pipefail
sandbox=$1
gateway=${2:-H53}

api=$(jq -r .management_url "$sandbox")/api
vhost=$(jq -r '.vhost | @uri' "$sandbox")
# In production: a user of your own with the tag "monitoring", and the URL and password file of your configuration.
password_file=$(dirname "$sandbox")/config/admin.password
ca=$(jq -r '.tls_ca_cert // empty' "$sandbox")

# The password goes in by standard input, so that no list of processes shows it.
get() {
    printf 'user = "admin:%s"\n' "$(cat "$password_file")" \
        | curl --silent --show-error --fail --noproxy '*' ${ca:+--cacert "$ca"} --config - "$api/$1"
}

echo "== is it well? (alarms, virtual host, lost majorities)"
for check in alarms virtual-hosts node-is-quorum-critical local-alarms; do
    printf '%-24s %s\n' "$check" "$(get "health/checks/$check" | jq -r .status)"
done

echo "== the broker"
get overview | jq -r '"RabbitMQ \(.rabbitmq_version), Erlang \(.erlang_version), \(.object_totals.connections) connections"'

echo "== what waits in the relay's own queues"
columns=name,messages_ready,messages_unacknowledged,consumers
get "queues/$vhost?columns=$columns" | jq -r '
    ["queue", "ready", "in hand", "readers"],
    (sort_by(.name)[] | select(.name | startswith("agency.") | not)
        | [.name, (.messages_ready, .messages_unacknowledged, .consumers | . // "?")]) | @tsv' | expand -t 16

echo "== agencies that nobody reads for, most waiting first"
get "queues/$vhost?columns=$columns" | jq -r '
    map(select((.name | startswith("agency.")) and .consumers == 0)) | sort_by(-.messages_ready)[:5][]
        | "\(.name)  \(.messages_ready)"'

echo "== rights of $gateway"
get "users/$gateway/permissions" | jq -r '.[] | "configure \(.configure)  write \(.write)  read \(.read)"'
get "users/$gateway/topic-permissions" | jq -r '.[] | "exchange \(.exchange): keys \(.write)"'

echo "== connections of $gateway"
get "connections?columns=user,peer_host,state,ssl,auth_mechanism" | jq -r --arg user "$gateway" '
    map(select(.user == $user)) | if . == [] then "none" else
        .[] | "\(.peer_host) \(.state) \(if .ssl then "TLS" else "plain" end) \(.auth_mechanism)" end'

#!/bin/sh
# Starts the sandbox in its own process, and on the configuration it writes, the daemon.
# Usage: scripts/run-sandbox.sh MONITOR [DIR]
# Ctrl-C or TERM stops the daemon, then the sandbox; a second one forces the daemon.
# Exit status: the daemon's.
set -eu

monitor=$1
dir=${2:-.sandbox}
patience=60 # seconds for the sandbox to be ready

scratch=$(mktemp -d)
sandbox=
daemon=
stopping=

stop() {
    stopping=yes
    if [ -n "$daemon" ]; then
        kill -TERM "$daemon" 2>/dev/null || :
    elif [ -n "$sandbox" ]; then
        kill -TERM "$sandbox" 2>/dev/null || :
    fi
}
# A signal interrupts wait: ask again until the child has truly ended.
ended() {
    status=0
    while :; do
        wait "$1" && status=0 || status=$?
        kill -0 "$1" 2>/dev/null || return "$status"
    done
}
clean() {
    if [ -n "$sandbox" ]; then
        kill -TERM "$sandbox" 2>/dev/null || :
        ended "$sandbox" || :
    fi
    rm -rf "$scratch"
}
trap stop INT TERM HUP
trap clean EXIT

mkfifo "$scratch/said"
while IFS= read -r line; do
    printf 'sandbox: %s\n' "$line"
    case $line in
    *ready*) : >"$scratch/ready" ;;
    esac
done <"$scratch/said" &
"$monitor" sandbox --dir "$dir" >"$scratch/said" &
sandbox=$!

waited=0
until [ -f "$scratch/ready" ] && [ -f "$dir/monitor.yaml" ]; do
    if ! kill -0 "$sandbox" 2>/dev/null; then
        ended "$sandbox" && status=0 || status=$?
        sandbox=
        echo "run-sandbox: the sandbox ended before it was ready (status $status)" >&2
        exit 1
    fi
    if [ "$waited" -ge $((patience * 5)) ]; then
        echo "run-sandbox: the sandbox was not ready after $patience s" >&2
        exit 1
    fi
    sleep 0.2
    waited=$((waited + 1))
done
[ -z "$stopping" ] || exit 0

"$monitor" run -c "$dir/monitor.yaml" &
daemon=$!
ended "$daemon" && status=0 || status=$?
exit "$status"

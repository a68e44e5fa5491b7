#!/bin/sh
# Starts the sandbox in its own process, and on the configuration it writes, the daemon.
# Usage: scripts/run-sandbox.sh MONITOR [DIR]
# Ctrl-C or TERM stops the daemon, then the sandbox; a second one forces the daemon.
# Exit status: the daemon's.
set -eu

monitor=$1
dir=${2:-.sandbox}
patience=60 # seconds for the sandbox to be ready

fail() {
    echo "run-sandbox: $*" >&2
    exit 1
}

# A signal interrupts wait: ask again until the child has truly ended.
ended() {
    while :; do
        status=0
        wait "$1" || status=$?
        kill -0 "$1" 2>/dev/null || return "$status"
    done
}

stop() {
    stopping=yes
    if [ -n "$daemon" ]; then
        kill -TERM "$daemon" 2>/dev/null || :
    fi
}

clean() {
    if [ -n "$sandbox" ]; then
        kill -TERM "$sandbox" 2>/dev/null || :
        ended "$sandbox" || :
        ended "$reader" || :
    fi
    rm -rf "$scratch"
}

stopping='' sandbox='' reader='' daemon=''
scratch=$(mktemp -d)
trap clean EXIT
trap stop INT TERM HUP

# What the sandbox says is passed on, and watched for the word that it is ready.
mkfifo "$scratch/said"
(
    trap '' INT TERM HUP # ends with the sandbox, not before
    while IFS= read -r line; do
        printf 'sandbox: %s\n' "$line"
        case $line in
        *ready*) : >"$scratch/ready" ;;
        esac
    done <"$scratch/said"
) &
reader=$!

# In sessions of their own, or Ctrl-C would reach them twice: from the terminal and from here.
setsid "$monitor" sandbox --dir "$dir" >"$scratch/said" &
sandbox=$!

tries=$((patience * 5))
until [ -f "$scratch/ready" ] && [ -f "$dir/monitor.yaml" ]; do
    [ -z "$stopping" ] || exit 0
    kill -0 "$sandbox" 2>/dev/null || fail "the sandbox ended before it was ready"
    [ "$tries" -gt 0 ] || fail "the sandbox was not ready after $patience s"
    tries=$((tries - 1))
    sleep 0.2
done
[ -z "$stopping" ] || exit 0

setsid "$monitor" run -c "$dir/monitor.yaml" &
daemon=$!
[ -z "$stopping" ] || stop # a signal that came as it started
status=0
ended "$daemon" || status=$?
exit "$status"

#!/bin/sh
# Installs from Debian what the tests run against, where it is missing. Starts no service, and
# what it installs will not start with the machine either. As another user than root it prints
# what to install, and goes on: without CI's MONITOR_REQUIRE_TOOLS=1 such tests are skipped.
set -eu

PATH=$PATH:/usr/sbin:/sbin
policy=/usr/sbin/policy-rc.d

missing=
need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || case " $missing " in
    *" $2 "*) ;;
    *) missing="$missing $2" ;;
    esac
}
need amtool prometheus-alertmanager
need buildah buildah
need chromium chromium
need faketime faketime
need mmdebstrap mmdebstrap
need nginx nginx-light
need openssl openssl
need pdftotext poppler-utils
need pdfinfo poppler-utils
need prometheus prometheus
need prometheus-alertmanager prometheus-alertmanager
need promtool prometheus
need prometheus-blackbox-exporter prometheus-blackbox-exporter
need systemd-analyze systemd
# Libraries and a font, without a program of their own: what WeasyPrint draws text with.
if command -v dpkg >/dev/null 2>&1; then
    for package in fonts-dejavu-core libharfbuzz-subset0 libpango-1.0-0 libpangoft2-1.0-0; do
        dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
    done
fi
missing=${missing# }
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "install-tools: missing, install as root: apt-get install $missing" >&2
    exit 0
fi

# Debian asks policy-rc.d before it starts a service; 101 means no. One that is there stays.
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

log=$(mktemp)
echo "install-tools: installing $missing" >&2
export DEBIAN_FRONTEND=noninteractive
# Word splitting wanted: a list of packages.
# shellcheck disable=SC2086
if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "install-tools: apt-get failed; its output stands above" >&2
    rm -f "$log"
    exit 1
fi
rm -f "$log"

# Without systemd there is nothing that would start them.
command -v systemctl >/dev/null 2>&1 || exit 0
for package in $missing; do
    unit=${package%-light}.service
    # Those without a service of their own have nothing to disable.
    if [ -e "/lib/systemd/system/$unit" ]; then
        systemctl --quiet disable "$unit" >/dev/null 2>&1 ||
            echo "install-tools: could not disable $unit; it may start with the machine" >&2
    fi
done

#!/bin/sh
# Makes or renews a virtual environment: the hashed requirements and, editable, the project itself.
# Usage: scripts/make-venv.sh PYTHON VENV run|test
# Does nothing when nothing it installs from has changed since the last time.
set -eu

python=$1
venv=$2
purpose=$3
cd "$(dirname "$0")/.."

fail() {
    echo "make-venv: $*" >&2
    exit 1
}

case $purpose in
run) requirements=requirements/reports.txt ;; # spreadsheets and PDF are part of what is tried
test) requirements=requirements/dev.txt ;;
*) fail "purpose must be run or test, not $purpose" ;;
esac

version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])') ||
    fail "$python does not run: install Python 3.11 or newer, or name one: make PYTHON=python3.13"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is Python $version, too old: 3.11 or newer is needed; name one: make PYTHON=python3.13"

# The key of everything that is installed; a test environment serves `run` as well.
key=$("$python" - "$version" "$requirements" requirements/build.txt pyproject.toml monitor/__init__.py <<'EOF'
import hashlib, pathlib, sys
digest = hashlib.sha256(sys.argv[1].encode())
for name in sys.argv[2:]:
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
EOF
)
stamp=$venv/.installed-$purpose
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then
    exit 0
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    fail "$python cannot make virtual environments: as root, apt-get install python${version%.*}-venv"
fi
# An environment of another Python would install for that one: begin anew.
if [ -x "$venv/bin/python" ] &&
    [ "$("$venv/bin/python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')" != "$version" ]; then
    rm -rf "$venv"
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

echo "installing $requirements into $venv" >&2
pip="$venv/bin/python -m pip --quiet --disable-pip-version-check install"
rm -f "$stamp"
$pip --require-hashes -r "$requirements"
$pip --require-hashes -r requirements/build.txt
$pip --no-deps --no-build-isolation --editable .
echo "$key" >"$stamp"

#!/bin/sh
# Installs the few system packages that are missing: as root with apt, otherwise says what to type.
set -eu

command -v dpkg-query >/dev/null 2>&1 || exit 0 # not Debian or Ubuntu: the README lists the packages

missing=""
need() {
    state=$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing="$missing $1"
}

# The virtual environment; a Python that is not the system's brings its own venv module.
"${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || { need python3; need python3-venv; }
# skia, which draws the training faces, links both.
need libgl1
need libegl1
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    echo "installing system packages:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of package names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "error: system packages are missing; type: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

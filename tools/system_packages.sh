#!/bin/sh
# Installs the few system packages that are missing: as root with apt, otherwise says what to type.
# ENGINE=0 leaves out what only the engine tests need.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

have dpkg-query || exit 0 # not Debian or Ubuntu: the README lists the packages

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
# The engine tests fetch two packages with npm, and .NET wants ICU.
if [ "${ENGINE:-1}" != 0 ]; then
    have npm || need npm
fi
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

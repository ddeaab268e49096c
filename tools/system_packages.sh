#!/bin/sh
# Installs the few system packages that are missing: as root with apt, otherwise says what to type.
set -eu

# python3 and python3-venv make the virtual environment; libgl1, libegl1: skia draws the training faces.
packages="python3 python3-venv libgl1 libegl1"

command -v dpkg-query >/dev/null 2>&1 || exit 0 # not Debian or Ubuntu: the README lists the packages

missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing="$missing $package"
done
# A Python that is not the system's brings its own venv module.
if "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null; then
    missing=$(echo "$missing" | sed 's/ python3-venv//; s/ python3//')
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    echo "installing system packages:$missing"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "error: system packages are missing; type: sudo apt-get install$missing" >&2
    exit 1
fi

#!/usr/bin/env bash
# System libraries that napari and its tests need on Debian and Ubuntu.
#   system_packages.sh list              print their names
#   system_packages.sh missing           print those that are not installed
#   system_packages.sh install [EXTRA..] install the missing ones where that is allowed, else say what is needed
# With EXTRA names, install looks at these alone.
set -euo pipefail

packages=(
    libgl1 libegl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0
    libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
    xvfb xauth fonts-dejavu-core
)

installed() {
    # Debian 13 and Ubuntu 24.04 renamed some libraries to <name>t64.
    dpkg-query -W -f '${Status}\n' "$1" "$1t64" 2>/dev/null | grep -q '^install ok installed$'
}

missing() {
    local name
    for name in "${packages[@]}"; do
        installed "$name" || echo "$name"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

install() {
    if ! command -v dpkg-query >/dev/null; then
        if [ "$(uname -s)" = Linux ] && ! command -v xvfb-run >/dev/null; then
            echo "This system has no apt. The window tests need xvfb-run and the libraries called on Debian:"
            echo "    ${packages[*]}"
        fi
        return 0
    fi
    local wanted
    mapfile -t wanted < <(missing)
    if [ "${#wanted[@]}" = 0 ]; then
        return 0
    fi
    local command="apt-get update && apt-get install -y --no-install-recommends ${wanted[*]}"
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        echo "These system packages are needed and may not be installed from here. Run as root:"
        echo "    $command"
        return 0
    fi
    echo "Installing system packages: ${wanted[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

action=${1:-list}
shift || true
if [ "$#" -gt 0 ]; then
    packages=("$@")
fi
case $action in
    list) printf '%s\n' "${packages[@]}" ;;
    missing) missing ;;
    install) install ;;
    *) echo "usage: $0 list|missing|install [package ...]" >&2; exit 2 ;;
esac

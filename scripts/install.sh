#!/usr/bin/env bash
# Install into the virtual environment: with uv where it works, else with pip. Arguments as for pip install.
set -euo pipefail
venv=${VENV:-.venv}
python=$venv/bin/python

# uv does not read pip's configuration: hand over a custom package index.
pip_setting() { "$python" -m pip config list 2>/dev/null | sed -n "s/^[^=]*[.]$1='\(.*\)'$/\1/p" | tail -n 1; }

with_uv() {
    [ -x "$venv/bin/uv" ] || return 1
    local index
    index=$(pip_setting index-url)
    if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then
        export UV_DEFAULT_INDEX=$index
    fi
    UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1} UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-120} \
        "$venv/bin/uv" pip install --compile-bytecode --python "$python" "$@"
}

echo "Installing $* (the first time takes some minutes)"
if ! with_uv "$@"; then
    echo "uv could not install it; trying pip"
    "$python" -m pip install "$@"
fi

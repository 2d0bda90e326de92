#!/usr/bin/env bash
# Run every script of benchmarks/, one after the other; each prints its own table.
set -euo pipefail
bin=${VENV:-.venv}/bin
cd "$(dirname "$0")/.."
shopt -s nullglob
scripts=(benchmarks/[a-z]*.py)
if [ "${#scripts[@]}" = 0 ]; then
    echo "benchmarks/ holds no scripts" >&2
    exit 1
fi
for script in "${scripts[@]}"; do
    echo "---- $script ----"
    "$bin/python" "$script"
done

#!/usr/bin/env bash
# Run checks and tests by stage and end with pytest's own closing lines.
#   check.sh [lint] [docs] [core] [tensorflow] [gui]
# A failed stage does not stop the later ones; the exit code tells whether any failed.
set -uo pipefail
bin=${VENV:-.venv}/bin
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=()
limit=${STAGE_LIMIT_S:-900}

# A stage that hangs must not hang the machine that runs it.
limited() {
    if command -v timeout >/dev/null; then
        timeout --kill-after=20 "$limit" "$@"
    else
        "$@"
    fi
}

lint() {
    local status=0
    "$bin/ruff" check . || status=1
    "$bin/ruff" format --check . || status=1
    "$bin/mypy" || status=1
    "$bin/lint-imports" || status=1
    return $status
}

docs() { NO_MKDOCS_2_WARNING=1 "$bin/mkdocs" build --strict --quiet; }

core() { limited "$bin/python" -m pytest -m "not gui and not tensorflow"; }

tensorflow() { limited "$bin/python" -m pytest -m "tensorflow and not gui"; }

# Mesa's OpenGL and TensorFlow crash each other in one process: these tests run apart, on a virtual display.
gui() {
    if [ "$(uname -s)" != Linux ]; then
        limited "$bin/python" -m pytest -m gui
    elif command -v xvfb-run >/dev/null; then
        LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb \
            limited xvfb-run -a -s "-screen 0 1600x1200x24" "$bin/python" -m pytest -m gui
    else
        echo "The window tests need a virtual display. Missing system packages:"
        scripts/system_packages.sh missing
        return 1
    fi
}

stage() {
    echo
    echo "---- $1 ----"
    if ! "$1" 2>&1 | tee "$logs/$1"; then
        failed+=("$1")
    fi
}

closing_lines() {
    local name
    for name in core tensorflow gui; do
        [ -f "$logs/$name" ] && printf '%s\n%s\n' "$name" "$(tail -n 1 "$logs/$name")"
    done
}

cd "$(dirname "$0")/.." || exit 2
for name in "$@"; do
    case $name in
        lint | docs | core | tensorflow | gui) stage "$name" ;;
        *) echo "unknown stage: $name" >&2; exit 2 ;;
    esac
done
echo
if [ "${#failed[@]}" -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
else
    echo "passed: $*"
fi
closing_lines
[ "${#failed[@]}" = 0 ]

#!/usr/bin/env bash
# After `cellcls demo`: name the tables and pictures, and open napari where a person can see it.
set -euo pipefail
out=${1:-demo}
bin=${VENV:-.venv}/bin

echo
echo "Tables and pictures are in $out/"
find "$out" -type f \( -name '*.cells.csv' -o -name '*.overlay.png' -o -name 'summary.json' \) | sort | sed 's/^/    /'

if [ "${DISPLAY_NAPARI:-0}" != 1 ]; then
    echo "Look at them in napari:  DISPLAY_NAPARI=1 make demo"
elif [ "$(uname -s)" = Linux ] && [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    echo "DISPLAY_NAPARI=1 was given, but this machine has no display: napari was not opened."
else
    echo "Opening napari: File > Open Sample > Cell Classifier, then Plugins > Cell Classifier > Classify cells"
    exec "$bin/napari" --with napari-cellcls
fi

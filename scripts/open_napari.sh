#!/usr/bin/env bash
# After the demo: open napari with a sample and the dock widget, where a person asked for it and can see it.
set -euo pipefail
bin=${VENV:-.venv}/bin

if [ "${DISPLAY_NAPARI:-0}" != 1 ]; then
    echo "To see a sample in napari:  DISPLAY_NAPARI=1 make demo"
elif [ "$(uname -s)" = Linux ] && [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    echo "DISPLAY_NAPARI=1 was given, but this machine has no display: napari was not opened."
else
    echo "Opening napari; press Classify in the dock on the right."
    exec "$bin/napari" sample_data/thin_smear.ome.tif --plugin napari-cellcls \
        --with napari-cellcls "Classify cells"
fi

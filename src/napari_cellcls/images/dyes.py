"""What microscopists call their channels: names of structures, stains and dyes, and what they show.

A table of words only. Sources: product names of common stains (Thermo Fisher, Abcam, BioLegend
catalogs), fluorescent-protein names (FPbase), the colors of the Human Protein Atlas
(red microtubules, green protein, blue nucleus, yellow endoplasmic reticulum).
"""

from __future__ import annotations

import re

from napari_cellcls.vocabulary import ChannelRole as R

STRUCTURE, DYE, HINT = 3, 2, 1
"""Strength of a guess: the structure is named; a dye usual for it; only a color or wavelength."""

# A word matches between anything but letters, so "er" is found in "ER_1" and not in "laser".
_WORDS: tuple[tuple[R, int, str], ...] = (
    (R.NUCLEUS, STRUCTURE, "nucleus nuclei nuclear nuc dna chromatin h2b h3 histone"),
    (R.NUCLEUS, STRUCTURE, "dapi hoechst draq5 draq7 nucblue nucred nucgreen nucspot sytox syto propidium\\W*iodide to-?pro-?3 toto-?3"),
    (R.MICROTUBULES, STRUCTURE, "\\w*tubulin microtubules? mt tubulintracker sir-?tubulin map2 eb1 eb3"),
    (R.ER, STRUCTURE, "er endoplasmic\\W*reticulum calnexin calreticulin kdel pdi sec61\\w* er-?\\W?tracker concanavalin cona"),
    (R.ACTIN, STRUCTURE, "\\w*-?actin phalloidin lifeact utrophin sir-?actin"),
    (R.MITOCHONDRIA, STRUCTURE, "mito\\w* tomm?20 cox\\W?iv hsp60 tmrm tmre"),
    (R.GOLGI, STRUCTURE, "golgi gm130 giantin golgin\\w*"),
    (R.MEMBRANE, STRUCTURE, "\\w*membrane wga wheat\\W*germ\\W*agglutinin \\w*-?cadherin caax fm\\W?4-?64 cellmask\\W*(?:orange|green|deep\\W*red)\\W*(?:plasma)?\\W*membrane"),
    (R.CELL, STRUCTURE, "cells? cytoplasm cytosol cyto calcein cfse celltracker cellmask hcs\\W*cellmask"),
    (R.BRIGHTFIELD, STRUCTURE, "bright\\W?field bf phase ph[123]? dic transmitted trans t-?pmt tl transmission"),
    (R.PROTEIN, STRUCTURE, "proteins? antibody target poi"),
    (R.PROTEIN, DYE, "e?gfp fitc (?:alexa\\w*|af)\\W*488 yfp venus mneongreen mclover cy2 atto\\W?488"),
    (R.PROTEIN, HINT, "rfp mcherry tritc cy3 cy5 cy7 tdtomato dsred mscarlet mkate2? texas\\W*red rhodamine (?:alexa\\w*|af)\\W*(?:546|555|568|594|633|647|680|750) atto\\W?(?:565|594|647n?)"),
)  # fmt: skip

_BORDER_LEFT, _BORDER_RIGHT = r"(?<![a-z])", r"(?![a-z])"
PATTERNS: tuple[tuple[re.Pattern[str], R, int], ...] = tuple(
    (re.compile(f"{_BORDER_LEFT}(?:{word}){_BORDER_RIGHT}"), role, strength)
    for role, strength, words in _WORDS
    for word in words.split()
)
"""``(pattern, role, strength)``; patterns are for lower-case names."""

HPA_COLORS: dict[str, R] = {
    "red": R.MICROTUBULES,
    "green": R.PROTEIN,
    "blue": R.NUCLEUS,
    "yellow": R.ER,
}
"""Channel colors of the Human Protein Atlas, in the order red, green, blue, yellow."""

ROLE_COLORS: dict[R, str] = {
    R.NUCLEUS: "#0000ff",
    R.PROTEIN: "#00ff00",
    R.MICROTUBULES: "#ff0000",
    R.ER: "#ffff00",
    R.MEMBRANE: "#ff00ff",
    R.ACTIN: "#ff8000",
    R.MITOCHONDRIA: "#00ffff",
    R.GOLGI: "#ff80ff",
    R.CELL: "#00ffff",
    R.RGB_RED: "#ff0000",
    R.RGB_GREEN: "#00ff00",
    R.RGB_BLUE: "#0000ff",
}
"""Display colors where the file gives none."""

SPARE_COLORS = ("#00ff00", "#ff00ff", "#00ffff", "#ffff00", "#ff0000", "#0000ff", "#ff8000")
"""Display colors for channels without a role."""

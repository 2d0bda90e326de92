"""Names of the published sets: their classes in order, and the spellings of them that people have.

Only words and patterns live here; nothing is read.
"""

from __future__ import annotations

import re

MALARIA_CLASSES = ("Parasitized", "Uninfected")

BLOOD_CLASSES = ("RBC", "WBC", "Platelets")

HELA_CLASSES = (
    "actin", "dna", "endosome", "er", "golgia", "golgpp", "lysosome", "microtubules",
    "mitochondria", "nucleolus",
)  # fmt: skip

HPA_CLASSES = (
    "Nucleoplasm", "Nuclear membrane", "Nucleoli", "Nucleoli fibrillar center",
    "Nuclear speckles", "Nuclear bodies", "Endoplasmic reticulum", "Golgi apparatus",
    "Peroxisomes", "Endosomes", "Lysosomes", "Intermediate filaments", "Actin filaments",
    "Focal adhesion sites", "Microtubules", "Microtubule ends", "Cytokinetic bridge",
    "Mitotic spindle", "Microtubule organizing center", "Centrosome", "Lipid droplets",
    "Plasma membrane", "Cell junctions", "Mitochondria", "Aggresome", "Cytosol",
    "Cytoplasmic bodies", "Rods & rings",
)  # fmt: skip
"""Labels 0..27 of the Human Protein Atlas challenge of 2018."""

HPA_PLANES = ("red", "green", "blue", "yellow")
"""Microtubules, the protein, nucleus, endoplasmic reticulum."""

# The archives of the set name a folder by the structure, by the protein, or by the antibody.
_HELA_SPELLINGS = {
    "actin": ("actinfilaments", "actinfilament", "phal"),
    "dna": ("nucleus", "nuclei"),
    "endosome": ("endosomes", "tfr"),
    "er": ("endoplasmicreticulum",),
    "golgia": ("golgigia", "giantin", "golgigiantin", "gia"),
    "golgpp": ("golgigpp", "gpp130", "golgigpp130", "gpp"),
    "lysosome": ("lysosomes", "lamp2", "h4b4"),
    "microtubules": ("microtubule", "tubulin", "tubul"),
    "mitochondria": ("mitochondrion", "mc151"),
    "nucleolus": ("nucleoli", "nucleolin", "nucle"),
}

_PATIENT = re.compile(r"(C\d+)")
_SLIDE_IMAGE = re.compile(r"(.+)_cell_\d+$")
_DATE = re.compile(r"_IMG_(\d{8})_")
# Files of the HeLa set as its authors named them: r06aug97.h4b4.03--1---2 (date, probe, field).
_HELA_FILE = re.compile(r"(r?\d{2}[a-z]{3}\d{2})\.([a-z0-9]+)\.(\d+)(?:-|\.|$)", re.IGNORECASE)
# HPAv18 ids: antibody_plate_well_field, some with the name of a crop behind.
_HPA_ID = re.compile(r"(\d+)_[a-zA-Z0-9]+_[A-Z]\d+_\d+(?:_\w+)?$")


def plain(name: str) -> str:
    """Return a class name without case, blanks and punctuation, for comparison."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def hela_class(folder: str) -> str | None:
    """Return the HeLa class of a folder name in any of its spellings, or None."""
    name = plain(folder)
    return next(
        (c for c, others in _HELA_SPELLINGS.items() if name == c or name in others),
        None,
    )


def patient_of(name: str) -> str:
    """Return the patient in a malaria file name (``C33P1thinF_...`` gives ``C33``), or ``""``.

    One patient has several official ids, one for each camera; the prefix joins them.
    """
    found = _PATIENT.match(name)
    return found.group(1) if found else ""


def malaria_columns(name: str) -> tuple[tuple[str, str], ...]:
    """Return the smear photograph and the date in a malaria file name, as far as they are there."""
    stem = name.rsplit(".", 1)[0]
    image, date = _SLIDE_IMAGE.match(stem), _DATE.search(stem)
    columns = (("slide_image", image), ("date", date))
    return tuple((key, found.group(1)) for key, found in columns if found)


def hela_columns(stem: str) -> tuple[str, str] | None:
    """Return ``(date, date.probe.field)`` of an original HeLa file name, or None."""
    found = _HELA_FILE.match(stem)
    return (found.group(1).lower(), found.group(0).rstrip("-.").lower()) if found else None


def antibody_of(image_id: str) -> str:
    """Return the antibody number that begins an HPAv18 id (``10580_1610_C1_1``), or ``""``."""
    found = _HPA_ID.match(image_id)
    return found.group(1) if found else ""

"""Write simulated data sets: ``python -m training.simulate {hpa,hela,smear} OUT``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from . import layouts


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(
        prog="python -m training.simulate",
        description="Write simulated images in the layout of a known data set, with masks and truth.",
    )
    kinds = found.add_subparsers(dest="kind", required=True)
    hpa = kinds.add_parser(
        "hpa", help="train.csv and <Id>_{red,green,blue,yellow}.png, 28 patterns"
    )
    amount = hpa.add_mutually_exclusive_group()
    amount.add_argument("--fields", type=_count, default=20, help="fields of several cells (20)")
    amount.add_argument("--cells", type=_count, help="single cells instead of fields")
    hpa.add_argument("--bits", type=int, choices=(8, 12, 16), default=8, help="of fields (8)")
    hela = kinds.add_parser("hela", help="ten class folders of gray TIFF files, 382 x 382")
    hela.add_argument("--per-class", type=_count, default=20, help="images per class (20)")
    hela.add_argument("--bits", type=int, choices=(8, 12, 16), default=16)
    smear = kinds.add_parser("smear", help="thin smear fields with masks and objects.csv")
    smear.add_argument("--fields", type=_count, default=4, help="number of fields (4)")
    smear.add_argument(
        "--plain", action="store_true", help="round red cells and one stain, as in the sample image"
    )
    for kind in (hpa, smear):
        kind.add_argument("--edge", type=_count, help="height and width of an image in pixels")
    for kind in (hpa, hela, smear):
        kind.add_argument("out", type=Path, help="new or empty folder")
        kind.add_argument("--seed", type=int, default=0, help="the same seed, the same files (0)")
        kind.add_argument("--processes", type=_count, default=1)
    return found


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; received {value}")
    return value


def main(arguments: list[str] | None = None) -> None:
    """Write what was asked for."""
    line = parser()
    options = line.parse_args(arguments)
    out: Path = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        line.error(f"{out} is not empty: simulated images are never mixed with others")
    if options.seed < 0:
        line.error(f"--seed must not be negative; received {options.seed}")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        out.rmdir()
    started = time.time()
    rest = {"processes": options.processes}
    if options.kind != "hela" and options.edge:
        rest["edge"] = options.edge
    if options.kind == "hela":
        n = layouts.write_hela(out, options.per_class, options.seed, options.bits, **rest)
    elif options.kind == "smear":
        n = layouts.write_smears(out, options.fields, options.seed, plain=options.plain, **rest)
    elif options.cells:
        n = layouts.write_hpa_cells(out, options.cells, options.seed, **rest)
    else:
        n = layouts.write_hpa(out, options.fields, options.seed, bits=options.bits, **rest)
    print(f"{n} simulated images in {out}, {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()

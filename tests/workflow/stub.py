"""Takes the place of the command line in a copied checkout: makes the files of each verb, without any science."""

import base64
import sys
from pathlib import Path

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYPgPAAEEAQB9ssjfAAAAAElFTkSuQmCC")
FIGURES = ["maps_igc", "maps_methods", "rois", "scores", "learning_curves", "agreement", "diagnostics"]
FIGURES += ["taylor", "yardsticks", "yardstick_curves", "verdict", "linear_partition", "deep_linear", "examples"]
FIGURES += ["maps_surface"]


def write(path: Path, content: bytes = b"name\tvalue\na\t1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main(verb: str, arguments: list[str]) -> None:
    output = Path(arguments[arguments.index("--output") + 1])
    if verb == "train":
        for name in ("model.safetensors", "model.json", "scores.tsv"):
            write(output.with_name(name))
    elif verb == "aggregate":
        for store in (Path(argument).parent for argument in arguments if "/attributions/" in argument):
            write(output / store.parent.name / f"{store.stem}.tsv")
    elif verb == "yardsticks":
        write(output / "model.tsv")
    elif verb == "summarize":
        for name in ("summary.tsv", "summary.parquet"):
            write(output / name)
        write(output / "verdict.png", PIXEL)
    elif verb == "compare":
        write(output / "agreement.tsv")
    elif verb == "report":
        for name in FIGURES:
            write(output / "figures" / f"{name}.png", PIXEL)
    else:
        write(output)


main(sys.argv[1], sys.argv[2:])

"""``recsys encoder``: networks to choose from, converted and tuned."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.progress import progress
from schemas.errors import ConfigurationError

app = typer.Typer(
    help="Choose, convert and tune the network that looks at pictures.",
    epilog="`images.encoder` in the configuration names the one that is used.",
    no_args_is_help=True,
)


Json = Annotated[bool, typer.Option("--json", help="print JSON alone on standard output")]
Output = Annotated[Path | None, typer.Option(help="the file to make; unset: NAME.tflite in images.encoders_dir")]
Float32 = Annotated[bool, typer.Option("--float32", help="keep float32 weights: twice the size")]


@app.command("list")
def list_encoders(as_json: Json = False) -> None:
    """The encoders that can be chosen by name, and which of them are ready."""
    from consumers.configuration import load
    from consumers.image_features.encoders import ENCODERS, encoder_path

    images = load().images
    ready = {}
    for name in ENCODERS:
        try:
            ready[name] = str(encoder_path(name, images.encoders_dir))
        except ConfigurationError:
            ready[name] = ""
    if as_json:
        _print({"chosen": images.encoder, "encoders": ready}, as_json)
        return
    _print({name: path or f"recsys encoder export {name}" for name, path in ready.items()}, as_json)


@app.command()
def show(
    encoder: Annotated[str, typer.Argument(help="a name, or a .tflite file; unset: the one in use")] = "",
    as_json: Json = False,
) -> None:
    """What is recorded in an encoder's file."""
    from consumers.configuration import load
    from consumers.image_features.encoder import Encoder
    from consumers.image_features.encoders import encoder_path

    images = load().images
    path = encoder_path(encoder or images.encoder, images.encoders_dir)
    found = Encoder(path)
    recorded = found.description.model_dump() if found.description else {}
    _print({"path": str(path), "encoder_id": found.encoder_id, "dimensions": found.dimensions} | recorded, as_json)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="a name of `recsys encoder list`, or a .keras file")],
    output: Output = None,
    weights: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="weights that are not to be downloaded (.h5)")
    ] = None,
    scaling: Annotated[
        str, typer.Option(help="what a .keras file expects of 0 to 255: none, 0..1, -1..1, imagenet or caffe")
    ] = "none",
    float32: Float32 = False,
    as_json: Json = False,
) -> None:
    """Make the LiteRT file of a network, verified against Keras and measured. Needs TensorFlow."""
    from consumers.configuration import load

    with _tensorflow():
        from training.architectures import make_network
        from training.conversion import export as convert

        network = make_network(name, weights, scaling)
        path = output or load().images.encoders_dir / f"{network.name}.tflite"
        made = convert(network, path, half=not float32)
    _print(_exported(made), as_json)


@app.command()
def tune(
    catalog: Annotated[
        Path, typer.Option(exists=True, help="a folder, or a table, as `recsys publish catalogue`")
    ],
    output: Output = None,
    encoder: Annotated[
        str,
        typer.Option(help="what to begin with: a name, a .keras or a .tflite file; unset: the shipped one"),
    ] = "mobilenet-v2",
    weights: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="weights of the one to begin with (.h5)")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="what shoppers viewed and bought together")
    ] = None,
    split: Annotated[
        str, typer.Option(help="learn from these rows alone, where there is a split column")
    ] = "train",
    head_only: Annotated[bool, typer.Option("--head-only", help="leave the network as it is: faster")] = False,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="a small network of its own, for pictures unlike photographs")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, max=1000, help="at most; it stops early by itself")] = None,
    seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same encoder")] = 0,
    report: Annotated[bool, typer.Option(help="draw neighbours, confusions and a map, before and after")] = True,
    as_json: Json = False,
) -> None:
    """Tune an encoder to CATALOG: products of a category, or that shoppers put together, come to look alike.

    Makes a .tflite file to be named as `images.encoder`, and a report with pictures beside it. Needs TensorFlow.
    """
    from consumers.configuration import load

    images = load().images
    with _tensorflow():
        from training.tuning import TuneOptions
        from training.tuning import tune as train

        options = TuneOptions(
            catalog=catalog,
            output=output or images.encoders_dir / "tuned.tflite",
            encoder=encoder,
            weights=weights,
            events=events,
            split=split,
            head_only=head_only,
            from_scratch=from_scratch,
            epochs=epochs,
            seed=seed,
        )
        with progress() as on_progress:
            tuned = train(options, images, on_progress)
            found = _exported(tuned.exported) | {
                "epochs": tuned.fitted.best_epoch,
                "held_out_precision": round(max(tuned.fitted.held_out_precision), 4),
                "products": len(tuned.products),
                "pairs": len(tuned.products.pairs),
                "unusable": tuned.unusable,
            }
            if report:
                from training.report import write_report

                before = "mobilenet-v2" if from_scratch else encoder
                page, figures = write_report(tuned, catalog, before, images, on_progress)
                found |= {"report": str(page)} | figures
    _print(found, as_json)


def _exported(made: Any) -> dict[str, Any]:
    return {
        "file": str(made.path),
        "encoder_id": made.description.encoder_id,
        "dimensions": made.description.dimensions,
        "side": made.description.preprocessing.side,
        "max_difference": made.description.keras_max_difference,
        "size_bytes": made.size_bytes,
        "ready_s": made.ready_s,
        "images_per_s": made.images_per_s,
    }


@contextmanager
def _tensorflow() -> Iterator[None]:
    """Keep TensorFlow's notices to itself, and say how to install it where it is not."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"tensorflow", "keras", "matplotlib"}:
            raise
        raise ConfigurationError(
            f"networks are made with {error.name}, which is not installed: pip install -r requirements/train.txt"
        ) from error


def _print(report: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("", "", show_header=False)
    for name, value in report.items():
        if value not in ("", None, {}):
            table.add_row(name.replace("_", " "), str(value))
    Console().print(table)

"""``recsys config``: what is set, and what can be."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer

app = typer.Typer(help="Show and check the configuration.", no_args_is_help=True)


@app.command()
def show() -> None:
    """Print every setting in force, as JSON with secrets masked; also the way to check a configuration."""
    from storefront.configuration import load_storefront

    sys.stdout.write(load_storefront().model_dump_json(indent=2) + "\n")


@app.command()
def schema() -> None:
    """Print what can be set, with descriptions, defaults and bounds, as JSON Schema."""
    from storefront.configuration import StorefrontConfiguration

    document: dict[str, Any] = StorefrontConfiguration.model_json_schema()
    sys.stdout.write(json.dumps(document, indent=2) + "\n")

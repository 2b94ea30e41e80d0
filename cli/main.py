"""The one command line, ``recsys``: mounts the command groups and turns errors into one clear line."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from cli import bench, config, encoder, evaluate, experiment, kafka, publish, rules
from cli.demo import demo
from cli.forget import forget
from cli.refit import refit
from cli.run import run
from cli.search import search
from cli.serve import serve
from cli.simulate import simulate
from cli.watch import show, watch
from cli.weights import weights
from schemas.errors import ConfigurationError, RecsysError

app = typer.Typer(
    name="recsys",
    help="Streaming recommendations for shops: publish what happens, subscribe to every list that changes.",
    epilog="Begin with [bold]recsys demo[/bold]. Settings: `recsys config show`.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(config.app, name="config")
app.add_typer(kafka.app, name="kafka")
app.add_typer(bench.app, name="bench")
app.add_typer(publish.app, name="publish")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(encoder.app, name="encoder")
app.add_typer(rules.app, name="rules")
app.add_typer(experiment.app, name="experiment")
app.command()(run)
app.command()(refit)
app.command()(serve)
app.command()(demo)
app.command()(simulate)
app.command()(watch)
app.command()(show)
app.command()(search)
app.command()(forget)
app.command()(weights)


def main() -> None:
    """Entry point: exit status 2 where the call or the configuration is wrong, 1 for every other failure."""
    try:
        app()
    except RecsysError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]recsys:[/bold red] {escape(str(error))}")
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except BrokenPipeError:  # the reader of our output is gone, as with `recsys watch | head`
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()

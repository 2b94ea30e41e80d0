"""Bars on standard error for long work, so that standard output is the result alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is in all."""


@contextmanager
def progress(*, transient: bool = False) -> Iterator[OnProgress]:
    """A bar for each thing that is done in turn; ``transient`` ones are gone in the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=transient) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                tasks[doing] = bars.add_task(doing, total=total)
            bars.update(tasks[doing], completed=done)

        yield on_progress

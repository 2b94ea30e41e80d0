"""The command line as a whole: errors in one line, and help without delay."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from consumers.stages import STAGES

run = import_module("cli.run")


def recsys(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
        cwd=Path(__file__).parents[3],
    )


def test_a_wrong_setting_is_one_line_and_status_2() -> None:
    done = recsys("config", "show", RECSYS_TRENDIN__LIST_LENGTH="3")
    assert done.returncode == 2
    assert done.stderr == "recsys: configuration: trendin: there is no such setting\n"


def test_an_unknown_stage_names_those_there_are() -> None:
    done = recsys("run", "trends")
    assert done.returncode == 2
    assert "the stages are image-features, similar-products" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_completes_and_names_every_stage() -> None:
    assert run._complete("") == list(STAGES)
    done = recsys("run", "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in STAGES)


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['recsys', '--help']; from cli.main import app; app(standalone_mode=False); "
        "heavy = {'numpy', 'pandas', 'sklearn', 'kafka', 'tensorflow', 'ai_edge_litert'} & sys.modules.keys(); "
        "sys.exit(repr(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

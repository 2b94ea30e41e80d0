"""Opens the demo's page where a person can see it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def has_screen(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> bool:
    """True where a browser would be a window; elsewhere it would take the terminal that the demo draws on."""
    if environ.get("SSH_CONNECTION") and not any(map(environ.get, _SCREENS)):
        return False
    return platform in ("darwin", "win32") or any(map(environ.get, _SCREENS))


def open_in_browser(url: str) -> None:
    """Open a page in the person's own browser, if there is one; a demo goes on without."""
    if not has_screen():
        return
    try:
        webbrowser.open(url)
    except (OSError, webbrowser.Error):
        return

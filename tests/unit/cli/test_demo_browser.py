"""A page is opened only where a browser is a window."""

from __future__ import annotations

import pytest

from cli import demo_browser


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "1 2 3 4"}, False),
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0", "SSH_CONNECTION": "1 2 3 4"}, True),
        ("linux", {"DISPLAY": ""}, False),
    ],
)
def test_screens_are_told_from_terminals(platform: str, environ: dict[str, str], expected: bool) -> None:
    assert demo_browser.has_screen(platform, environ) is expected


def test_a_demo_goes_on_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(url: str) -> bool:
        raise demo_browser.webbrowser.Error("none to be found")

    monkeypatch.setattr(demo_browser, "has_screen", lambda: True)
    monkeypatch.setattr(demo_browser.webbrowser, "open", none)
    demo_browser.open_in_browser("http://127.0.0.1:8080")

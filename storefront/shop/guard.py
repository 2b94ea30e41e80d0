"""What keeps a page to itself: the headers that it is served with, and where its forms may come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.requests import Request


def security_headers(picture_sources: Sequence[str]) -> Mapping[str, str]:
    """Headers of every page: scripts, styles and connections of the shop's own alone, none of them inline."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": " ".join(["'self'", "blob:", *picture_sources]),
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
    }


def comes_from_here(request: Request) -> bool:
    """True for a form that one of the shop's own pages sent, as browsers say and scripts cannot pretend.

    Cookies are SameSite besides; this is for sites that share the shop's domain (OWASP CSRF cheat sheet,
    "Verifying Origin With Standard Headers").
    """
    origin = request.headers.get("origin")
    if origin is not None and origin != "null":
        return urlsplit(origin).netloc == request.headers.get("host")
    return request.headers.get("sec-fetch-site") == "same-origin"

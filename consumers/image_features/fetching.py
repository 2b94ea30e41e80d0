"""Fetching pictures over http and https, or from one configured folder, within limits of size and time."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import httpcore
import httpx

from consumers.image_features.addresses import Deadline, GuardedBackend
from consumers.image_features.errors import (
    ImageAddressError,
    ImageError,
    ImageMissingError,
    ImageTooLargeError,
    ImageUnreachableError,
)
from consumers.image_features.settings import FetchSettings, ImageLimits

_RETRIABLE_STATUSES = {408, 425, 429}
_LARGEST_PORTION_BYTES = 1 << 20


class ImageFetcher:
    """Fetches one picture's bytes; safe to share between threads.

    Errors: ``ImageUnreachableError`` where another attempt may help, otherwise another ``ImageError``.
    """

    def __init__(self, settings: FetchSettings, limits: ImageLimits, max_connections: int = 16) -> None:
        self._settings = settings
        self._max_bytes = limits.max_bytes
        self._root = Path(os.path.realpath(settings.images_dir)) if settings.images_dir is not None else None
        self._deadline = Deadline()
        self._client = httpx.Client(
            transport=_Transport(settings, self._deadline, max_connections),
            follow_redirects=True,
            max_redirects=settings.max_redirects,
            timeout=httpx.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds),
            headers={"User-Agent": settings.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"},
            trust_env=False,
        )

    def fetch(self, url: str) -> bytes:
        """The picture's bytes, from a URL or from a path below ``images_dir``."""
        scheme, separator, _ = url.partition("://")
        if not separator:
            return self._read(url)
        if scheme.lower() not in {"http", "https"}:
            raise ImageAddressError(f"the image_url begins with {scheme[:20]}://; give http, https or a path")
        return self._download(url)

    def close(self) -> None:
        """Close the connections; downloads that are under way fail."""
        self._client.close()

    def _read(self, path: str) -> bytes:
        if self._root is None:
            raise ImageAddressError(f"{path[:200]!r} is no URL, and images_dir is not set; set it or give a URL")
        try:
            file = Path(os.path.realpath(self._root / path))
            if not file.is_relative_to(self._root):
                raise ImageAddressError(f"{path[:200]!r} leads out of images_dir; give a path below it")
            return self._read_file(file, path)
        except ValueError as error:  # a null character
            raise ImageAddressError(f"{path[:200]!r} is no path: {error}") from error
        except OSError as error:
            raise _from_os_error(error, path) from error

    def _read_file(self, file: Path, path: str) -> bytes:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # opening a named pipe would wait for a writer
        with open(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageMissingError(f"{path[:200]!r} is no file; give the path of a picture")
            data = opened.read(self._max_bytes + 1)
        self._check_size(len(data))
        return data

    def _download(self, url: str) -> bytes:
        self._deadline.start(self._settings.total_timeout_seconds)
        with _typed_errors(_shown(url)), self._client.stream("GET", url) as response:
            self._check_response(response, _shown(url))
            data = bytearray()
            for portion in response.iter_raw(_LARGEST_PORTION_BYTES):
                data += portion
                self._check_size(len(data))
            return bytes(data)

    def _check_response(self, response: httpx.Response, shown: str) -> None:
        status = response.status_code
        if status in _RETRIABLE_STATUSES or status >= 500:
            raise ImageUnreachableError(f"{shown} answered {status}", _retry_after_seconds(response))
        if status != 200:
            raise ImageMissingError(f"{shown} answered {status}; check the image_url")
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            raise ImageAddressError(
                f"{shown} answered compressed as {encoding}, unasked; serve pictures as they are"
            )
        with contextlib.suppress(ValueError):
            self._check_size(int(response.headers.get("Content-Length", 0)))

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise ImageTooLargeError(f"the picture has more than {self._max_bytes:,} bytes; save it smaller")


class _Transport(httpx.BaseTransport):
    """httpx over httpcore with sockets that are opened by ``GuardedBackend``."""

    def __init__(self, settings: FetchSettings, deadline: Deadline, max_connections: int) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=30.0,
            network_backend=GuardedBackend(
                allow_private=settings.allow_private_addresses,
                allowed_hosts=settings.allowed_hosts,
                deadline=deadline,
            ),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in {"http", "https"}:
            raise ImageAddressError(f"redirected to {url.scheme}://; only http and https are followed")
        response = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                extensions=request.extensions,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        self._pool.close()


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """The system's certificates; reading them takes longer than a download."""
    return ssl.create_default_context()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


@contextlib.contextmanager
def _typed_errors(shown: str) -> Iterator[None]:
    """Turn what the HTTP libraries raise into this package's errors."""
    try:
        yield
    except ImageError:
        raise
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpcore.UnsupportedProtocol, UnicodeError) as error:
        raise ImageAddressError(f"{shown} is no address that can be fetched: {error}") from error
    except httpx.TooManyRedirects as error:
        raise ImageMissingError(f"{shown} redirects too often; give the address that it ends at") from error
    except (httpx.HTTPError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        if _is_certificate_error(error):
            raise ImageAddressError(f"{shown} has no valid certificate: {error}") from error
        raise ImageUnreachableError(f"{shown} cannot be fetched: {type(error).__name__} {error}") from error


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _from_os_error(error: OSError, path: str) -> ImageError:
    permanent = {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
    message = f"{path[:200]!r} cannot be read below images_dir: {error.strerror}"
    if error.errno in permanent:
        return ImageMissingError(f"{message}; check the path and who may read it")
    return ImageUnreachableError(message)


def _retry_after_seconds(response: httpx.Response) -> float:
    """The server's Retry-After in seconds; 0 where there is none, or a date, which the backoff stands in for."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _shown(url: str) -> str:
    """The address without user, password and query, which may be secret."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        return "the image_url"
    port = "" if parsed.port is None else f":{parsed.port}"
    return f"{parsed.scheme}://{parsed.host}{port}{parsed.path}"[:300]

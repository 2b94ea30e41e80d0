from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from consumers.image_features.addresses import is_public
from consumers.image_features.errors import (
    ImageAddressError,
    ImageError,
    ImageMissingError,
    ImageTooLargeError,
    ImageUnreachableError,
)
from consumers.image_features.fetching import ImageFetcher
from consumers.image_features.settings import FetchSettings, ImageLimits, RetryPolicy

PICTURE = bytes(range(256)) * 40
LIMITS = ImageLimits(max_bytes=len(PICTURE))


class _Shop(BaseHTTPRequestHandler):
    """A shop's image server, with everything that goes wrong with one."""

    protocol_version = "HTTP/1.1"
    released = threading.Event()

    def do_GET(self) -> None:
        name, _, argument = self.path.partition("?")[0].strip("/").partition("/")
        getattr(self, f"_{name}")(argument)

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _picture(self, _: str) -> None:
        self._send(200, PICTURE)

    def _status(self, status: str) -> None:
        self._send(int(status), b"sorry", Retry_After="7")

    def _large(self, _: str) -> None:
        self._send(200, PICTURE + b"1")

    def _endless(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except OSError:
            self.close_connection = True

    def _hang(self, _: str) -> None:
        self.released.wait(30)
        self.close_connection = True

    def _drip(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _byte in range(1000):
            try:
                self.wfile.write(b"x")
            except OSError:
                break
            if self.released.wait(0.02):
                break
        self.close_connection = True

    def _cut(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"short")
        self.close_connection = True

    def _garbage(self, _: str) -> None:
        self.wfile.write(b"this is not HTTP\r\n\r\n")
        self.close_connection = True

    def _zipped(self, _: str) -> None:
        self._send(200, PICTURE, Content_Encoding="gzip")

    def _hop(self, left: str) -> None:
        count = int(left)
        self._send(302, Location="/picture" if count <= 1 else f"/hop/{count - 1}")

    def _to(self, where: str) -> None:
        self._send(302, Location=where)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A fetcher that hangs up on a download is no error of the server's."""


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    _Shop.released.clear()
    server = _Server(("127.0.0.1", 0), _Shop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    _Shop.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def fetcher() -> Iterator[ImageFetcher]:
    settings = FetchSettings(
        allow_private_addresses=True,
        connect_timeout_seconds=2,
        read_timeout_seconds=0.3,
        total_timeout_seconds=0.6,
    )
    fetcher = ImageFetcher(settings, LIMITS)
    yield fetcher
    fetcher.close()


def test_a_picture_is_fetched(shop: str, fetcher: ImageFetcher) -> None:
    assert fetcher.fetch(f"{shop}/picture") == PICTURE
    assert fetcher.fetch(f"{shop.replace('http', 'HTTP')}/picture/again") == PICTURE


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_retriable(status: int, shop: str, fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageUnreachableError, match=rf"/status/{status} answered {status}") as raised:
        fetcher.fetch(f"{shop}/status/{status}")
    assert raised.value.retriable
    assert raised.value.retry_after_seconds == 7


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410, 451])
def test_a_status_that_stays_is_not_retried(status: int, shop: str, fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageMissingError, match=rf"answered {status}; check the image_url") as raised:
        fetcher.fetch(f"{shop}/status/{status}")
    assert not raised.value.retriable


@pytest.mark.parametrize("path", ["large", "endless"])
def test_a_download_stops_at_the_limit(path: str, shop: str, fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageTooLargeError, match=f"more than {len(PICTURE):,} bytes"):
        fetcher.fetch(f"{shop}/{path}")


@pytest.mark.parametrize("path", ["hang", "drip", "cut", "garbage"])
def test_a_server_that_fails_midway_is_retriable(path: str, shop: str, fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageUnreachableError, match=f"/{path} cannot be fetched: "):
        fetcher.fetch(f"{shop}/{path}")


def test_a_server_that_is_not_there_is_retriable(fetcher: ImageFetcher) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Shop, bind_and_activate=True) as server:
        port = server.server_port
    with pytest.raises(ImageUnreachableError, match="ConnectError"):
        fetcher.fetch(f"http://127.0.0.1:{port}/picture")


def test_a_host_that_is_not_known_is_retriable(fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageUnreachableError, match=r"nowhere\.invalid is not known"):
        fetcher.fetch("http://nowhere.invalid/x.jpg")


def test_an_answer_compressed_unasked_is_refused(shop: str, fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageAddressError, match="compressed as gzip"):
        fetcher.fetch(f"{shop}/zipped")


def test_redirects_are_followed_a_few_times(shop: str, fetcher: ImageFetcher) -> None:
    assert fetcher.fetch(f"{shop}/hop/3") == PICTURE
    with pytest.raises(ImageMissingError, match="redirects too often"):
        fetcher.fetch(f"{shop}/hop/4")


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"])
def test_redirects_do_not_lead_to_other_schemes(where: str, shop: str, fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageAddressError):
        fetcher.fetch(f"{shop}/to/{where}")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "data://text", "http://", "http://[::1"])
def test_other_addresses_are_refused(url: str, fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageAddressError):
        fetcher.fetch(url)


def test_passwords_and_queries_stay_out_of_messages(shop: str, fetcher: ImageFetcher) -> None:
    url = shop.replace("http://", "http://user:secret@") + "/status/404?token=secret"
    with pytest.raises(ImageError, match="answered 404") as raised:
        fetcher.fetch(url)
    assert "secret" not in str(raised.value)


def test_private_addresses_are_refused_unless_allowed(shop: str) -> None:
    guarded = ImageFetcher(FetchSettings(), LIMITS)
    for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.1.2.3", "169.254.169.254", "2130706433"):
        with pytest.raises(ImageAddressError, match="private network; add it to allowed_hosts"):
            guarded.fetch(f"{shop.replace('127.0.0.1', host)}/picture")
    guarded.close()
    allowing = ImageFetcher(FetchSettings(allowed_hosts=frozenset({"LocalHost"})), LIMITS)
    assert allowing.fetch(f"{shop.replace('127.0.0.1', 'localhost')}/picture") == PICTURE
    with pytest.raises(ImageAddressError, match=r"127\.0\.0\.1 is on a private network"):
        allowing.fetch(f"{shop.replace('127.0.0.1', 'localhost')}/to/{shop}/picture")
    allowing.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07::1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.5.5", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("2002:a00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    (root / "shirt").mkdir(parents=True)
    (root / "shirt" / "a.jpg").write_bytes(PICTURE)
    (root / "large.jpg").write_bytes(PICTURE + b"1")
    (root / "empty.jpg").touch()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "leak").symlink_to(tmp_path / "secret")
    (root / "out").symlink_to(tmp_path)
    (root / "alias.jpg").symlink_to(root / "shirt" / "a.jpg")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    return root


def test_paths_below_the_folder_are_read(folder: Path) -> None:
    fetcher = ImageFetcher(FetchSettings(images_dir=folder), LIMITS)
    assert fetcher.fetch("shirt/a.jpg") == PICTURE
    assert fetcher.fetch("shirt/../alias.jpg") == PICTURE
    assert fetcher.fetch(str(folder / "shirt" / "a.jpg")) == PICTURE
    assert fetcher.fetch("empty.jpg") == b""


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("../secret", ImageAddressError),
        ("shirt/../../secret", ImageAddressError),
        ("/etc/passwd", ImageAddressError),
        ("leak", ImageAddressError),
        ("out/secret", ImageAddressError),
        ("a\0b", ImageAddressError),
        ("absent.jpg", ImageMissingError),
        ("shirt", ImageMissingError),
        ("shirt/a.jpg/b", ImageMissingError),
        ("pipe", ImageMissingError),
        ("loop", ImageMissingError),
        ("x" * 5000, ImageMissingError),
        ("large.jpg", ImageTooLargeError),
    ],
)
def test_other_paths_are_refused(path: str, error: type[ImageError], folder: Path) -> None:
    fetcher = ImageFetcher(FetchSettings(images_dir=folder), LIMITS)
    with pytest.raises(error) as raised:
        fetcher.fetch(path)
    assert not raised.value.retriable


def test_without_a_folder_paths_are_refused() -> None:
    with pytest.raises(ImageAddressError, match="images_dir is not set"):
        ImageFetcher(FetchSettings(), LIMITS).fetch("shirt/a.jpg")


def test_backoff_doubles_with_full_jitter_up_to_the_bound() -> None:
    policy = RetryPolicy(max_attempts=9, first_backoff_seconds=1.0, max_backoff_seconds=10.0)
    rng = random.Random(1)
    for attempt, ceiling in enumerate((1, 2, 4, 8, 10, 10, 10, 10), start=1):
        drawn = [policy.backoff_seconds(attempt, rng) or 0.0 for _ in range(300)]
        assert 0 <= min(drawn) < ceiling * 0.1
        assert ceiling * 0.9 < max(drawn) <= ceiling
    assert policy.backoff_seconds(9, rng) is None


def test_backoff_honours_retry_after_within_the_bound() -> None:
    policy = RetryPolicy(first_backoff_seconds=1.0, max_backoff_seconds=10.0)
    assert policy.backoff_seconds(1, random.Random(1), at_least_seconds=7.0) == 7.0
    assert policy.backoff_seconds(1, random.Random(1), at_least_seconds=3600.0) == 10.0


def test_the_same_seed_gives_the_same_backoff() -> None:
    policy = RetryPolicy()
    assert policy.backoff_seconds(3, random.Random(5)) == policy.backoff_seconds(3, random.Random(5))

"""Pictures from below one folder, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from storefront.shop.pictures import Pictures, media_type_of

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def test_a_picture_is_served_to_be_kept(pages: Any) -> None:
    answer = pages.get("/images/mugs/a.jpg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["x-content-type-options"] == "nosniff"
    same = pages.get("/images/mugs/a.jpg", headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert pages.get("/images/mugs/b.jpg").status_code == 404


NOT_THERE = ["../secret.jpg", "mugs/../../secret.jpg", "/etc/passwd", "mugs", "", ".", "a\0.jpg", "x" * 5_000]


@pytest.mark.parametrize("path", [*NOT_THERE, "link.jpg", "pipe"])
def test_nothing_outside_the_folder_and_no_other_thing_is_read(images_dir: Path, path: str) -> None:
    picture = (images_dir / "mugs" / "a.jpg").read_bytes()
    (images_dir.parent / "secret.jpg").write_bytes(picture)
    (images_dir / "link.jpg").symlink_to(images_dir.parent / "secret.jpg")
    os.mkfifo(images_dir / "pipe")
    assert Pictures(images_dir, 1_000_000).read(path) is None


def test_an_encoded_way_out_leads_nowhere(pages: Any, images_dir: Path) -> None:
    (images_dir.parent / "secret.jpg").write_bytes((images_dir / "mugs" / "a.jpg").read_bytes())
    for path in ("/images/..%2fsecret.jpg", "/images/%2e%2e/secret.jpg", "/images/mugs%2f..%2f..%2fsecret.jpg"):
        assert pages.get(path).status_code == 404


def test_what_is_no_picture_is_not_served_whatever_it_is_called(images_dir: Path) -> None:
    for number, data in enumerate((SVG, b"<html>", b"", b"GIF")):
        (images_dir / f"{number}.jpg").write_bytes(data)
        assert Pictures(images_dir, 1_000_000).read(f"{number}.jpg") is None
    assert Pictures(images_dir, 10).read("mugs/a.jpg") is None, "too large"


def test_a_changed_picture_has_another_tag(images_dir: Path) -> None:
    pictures, file = Pictures(images_dir, 1_000_000), images_dir / "mugs" / "a.jpg"
    before = pictures.read("mugs/a.jpg")
    file.write_bytes(file.read_bytes() + b"\0")
    after = pictures.read("mugs/a.jpg")
    assert before is not None
    assert after is not None
    assert before.etag != after.etag


def test_media_types_are_read_from_the_bytes() -> None:
    heads = {
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"RIFF\0\0\0\0WEBPVP8 ": "image/webp",
        b"GIF89a": "image/gif",
        b"\0\0\0\x1cftypavif": "image/avif",
        b"BM\0\0": "image/bmp",
        b"II*\0": None,
    }
    assert {head: media_type_of(head) for head in heads} == heads

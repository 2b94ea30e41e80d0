"""What can be wrong with a picture. ``retriable`` decides between a retry and the dead-letter topic."""

from __future__ import annotations

from schemas.errors import RecsysError


class ImageError(RecsysError):
    """Root of the errors about one product's picture; ``outcome`` is its label in the metrics."""

    outcome = "failed"


class ImageUnreachableError(ImageError):
    """The picture could not be fetched just now: timeout, connection, 408, 425, 429 or 5xx."""

    retriable = True
    outcome = "unreachable"

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ImageMissingError(ImageError):
    """There is no picture at the address: a missing file, or an HTTP status that a retry does not change."""

    outcome = "missing"


class ImageAddressError(ImageError):
    """The address is malformed, or one that this stage is not allowed to fetch from."""

    outcome = "refused-address"


class ImageTooLargeError(ImageError):
    """The picture has more bytes or pixels than the limits allow."""

    outcome = "too-large"


class NotAnImageError(ImageError):
    """The bytes are no picture of a known format, or one whose colours cannot be read."""

    outcome = "not-an-image"


class EmptyImageError(NotAnImageError):
    """There are no bytes, or a picture without pixels."""

    outcome = "empty"


class TruncatedImageError(NotAnImageError):
    """The picture ends before its pixels do, or its pixel data is damaged."""

    outcome = "truncated"


class AnimatedImageError(ImageError):
    """The picture has several frames, and which of them shows the product is anybody's guess."""

    outcome = "animated"


class ImageTooSmallError(ImageError):
    """The picture has too few pixels to show anything."""

    outcome = "too-small"


class FeaturelessImageError(ImageError):
    """The picture is all of about one colour, such as a placeholder, and would be like every other of its kind."""

    outcome = "featureless"

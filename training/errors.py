"""What goes wrong when a network is made or tuned."""

from __future__ import annotations

from schemas.errors import ConfigurationError, RecsysError


class WeightsMissingError(ConfigurationError):
    """A network's weights are not on this machine and cannot be downloaded."""


class NotANetworkError(ConfigurationError):
    """A ``.keras`` file cannot be read, or is no encoder of pictures."""


class ConversionError(RecsysError):
    """The converted network does not compute what Keras does."""


class TooFewProductsError(ConfigurationError):
    """The catalogue does not know enough of its products to learn from."""

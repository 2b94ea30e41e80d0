"""What can go wrong while following what the recommender publishes."""

from __future__ import annotations

from schemas.errors import ConfigurationError, RecsysError


class MissingTopicError(RecsysError):
    """A topic that is to be followed does not exist on the cluster."""


class TablesUnavailableError(RecsysError):
    """The table that several processes share does not answer; try again in a moment."""

    retriable = True


class RulesError(ConfigurationError):
    """The file of rules is wrong; the message names the rule and what is accepted."""


class NotLeadingError(RecsysError):
    """Another process writes the shared table by now; this one has to begin anew when it is its turn again."""

    retriable = True

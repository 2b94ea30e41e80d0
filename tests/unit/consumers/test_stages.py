"""Every stage by its name, with the settings of its section."""

from __future__ import annotations

import pytest

from consumers.configuration import Configuration
from consumers.stages import STAGES, make_stage
from schemas.errors import ConfigurationError
from schemas.topics import TOPICS


@pytest.mark.parametrize("name", list(STAGES))
def test_a_stage_is_made_from_the_configuration(name: str) -> None:
    stage = make_stage(name, Configuration())
    try:
        assert stage.spec.name == name
        topics = (*stage.spec.inputs, *stage.spec.tables, *stage.spec.changelogs)
        assert all(TOPICS[topic.name] is topic for topic in topics)
    finally:
        stage.close()


def test_another_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigurationError, match="there is no stage 'trends'; the stages are image-features"):
        make_stage("trends", Configuration())

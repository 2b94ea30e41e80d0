from __future__ import annotations

import numpy as np

from recsys.sessions.subjects import SubjectNumbers, subject_hash, subject_hashes


def test_numbers_are_what_a_dictionary_would_hold() -> None:
    """With hundreds of subjects that come and go, so that the table grows and places are taken again."""
    made, expected, random = SubjectNumbers(), dict[str, int](), np.random.default_rng(5)
    names = [f"shopper-{number}" for number in range(600)]
    for _ in range(60):
        coming = [names[number] for number in random.permutation(600)[:40].tolist()]
        expected.update(zip(coming, made.assign(coming).tolist(), strict=True))
        going = [name for name in expected if random.random() < 0.15]
        made.release(made.find(going))
        for name in going:
            del expected[name]
        assert made.find(names).tolist() == [expected.get(name, -1) for name in names]
        assert len(set(expected.values())) == len(expected) == len(made)
        assert max(expected.values()) < made.used
        assert made.hashes[list(expected.values())].tolist() == [subject_hash(name) for name in expected]


def test_nothing_of_who_was_dropped_stays() -> None:
    made = SubjectNumbers()
    made.release(made.assign(["gone", "one"])[:1])
    assert subject_hash("gone") not in made.hashes
    assert made.find(["gone", "one"]).tolist() == [-1, 1]
    assert made.assign(["two"]).tolist() == [0]


def test_subjects_of_any_text_have_hashes() -> None:
    assert subject_hashes([]).tolist() == []
    assert subject_hashes(["", "é", "\ud800"]).tolist() == [subject_hash(name) for name in ("", "é", "\ud800")]

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue import Catalogue
from recsys.factors.generations import Generations
from recsys.scoring.factor_scorer import FactorScorer, FoldInRules
from recsys.scoring.query import Queries
from recsys.scoring.slots import ProductSlots
from schemas.events import ItemFactors, ProductCreated


@given(st.lists(st.integers(0, 1), max_size=30), st.integers(1, 3))
def test_no_reader_ever_mixes_generations(turns: list[int], refits: int) -> None:
    """Two partitions, read in any turns: what counts is all of one generation, and in the end of the last."""
    logs: list[list[ItemFactors]] = [[], []]
    for generation in range(refits + 1):
        items = 4 if generation else 0
        for number in range(4):
            logs[number % 2].append(ItemFactors(f"p{number}", generation, b"%d" % generation, 1, items))
        logs[1].append(ItemFactors(f"later{generation}", generation, b"%d" % generation, 1))
    generations, counted = Generations(), dict[str, bytes]()
    for turn in [*turns, *[0] * 20, *[1] * 20]:
        if logs[turn]:
            record = logs[turn].pop(0)
            anew, vectors = generations.take([(record.product_id, record)])
            counted = {**({} if anew else counted), **vectors}
            assert set(counted.values()) <= {b"%d" % generations.generation}
            if generations.generation:
                assert {f"p{number}" for number in range(4)} <= counted.keys()
    assert generations.generation == refits
    assert f"later{refits}" in counted


def test_taste_goes_over_to_a_refit_in_one_step_even_to_vectors_of_another_length() -> None:
    catalogue = Catalogue()
    for product_id in "abc":
        catalogue.put(product_id, ProductCreated(product_id, 1))
    slots = ProductSlots(catalogue)
    slots.assign("abc")
    scorer = FactorScorer(slots, FoldInRules(regularisation=1.0))
    query = Queries("a", np.zeros(1, np.int64), np.ones(1), [False], [()], [""])

    def put(product_id: str, generation: int, *vector: float) -> None:
        data = np.array(vector, "<f4").tobytes()
        scorer.put([(product_id, ItemFactors(product_id, generation, data, 1, 2 * generation))])

    def listed() -> set[str]:
        return {slots.ids[slot] for slot in scorer.score(query).slots.tolist()}

    put("a", 0, 1.0, 0.0)
    put("b", 0, 1.0, 0.0)
    put("c", 0, 0.0, 1.0)
    assert listed() == {"a", "b"}
    put("a", 1, 0.0, 1.0, 1.0)
    assert listed() == {"a", "b"}
    put("b", 0, 1.0, 0.5)
    put("c", 1, 0.0, 1.0, 1.0)
    assert listed() == {"a", "c"}
    put("b", 0, 1.0, 0.5)
    assert listed() == {"a", "c"}

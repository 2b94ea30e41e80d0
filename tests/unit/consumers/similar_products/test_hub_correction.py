from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from consumers.runtime.causes import NO_CAUSE
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.metrics import StageMetrics
from consumers.runtime.worker import Worker, WorkerSettings
from consumers.similar_products import settings as similar_settings
from consumers.similar_products.corrections import from_state, to_state
from consumers.similar_products.settings import SimilarProductsSettings
from consumers.similar_products.stage import SimilarProductsStage
from recsys.neighbours.hubness import learn_correction
from schemas.codec import decode, encode
from schemas.errors import InvalidEventError
from schemas.events import ImageFeature, ProductCreated, SimilarState

WIDTH = 16
SETTINGS = SimilarProductsSettings(list_length=4, margin=2, batch_products=50)
FAST = {"backoff_base_seconds": 1e-6, "backoff_cap_seconds": 1e-6}


@pytest.fixture(autouse=True)
def learn_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar_settings, "LEARN_AT", (12, 30))


def a_log() -> MemoryLog:
    log = MemoryLog(partitions=1, now_ms=5_000)
    rng = np.random.default_rng(5)
    for number in range(60):
        product_id = f"p{number % 50}"
        row = 1 + rng.gamma(4.0, 0.25) * rng.standard_normal(WIDTH)
        vector = (row / np.linalg.norm(row)).astype("<f2").tobytes()
        feature = ImageFeature(
            product_id, 900, "one", bytes(32), "", vector, f"product-created/{product_id}", 4_000
        )
        log.append("product-created", product_id.encode(), encode(ProductCreated(product_id, 1_000)))
        log.append("image-features", product_id.encode(), encode(feature))
    return log


def run(log: MemoryLog, batch: int, settings: SimilarProductsSettings = SETTINGS) -> MemoryTransport:
    transport = MemoryTransport(log, "similar-products", ["image-features"], ["product-created"], sole_owner=True)
    worker = Worker(
        SimilarProductsStage(settings), transport, settings=WorkerSettings(max_batch_records=batch, **FAST)
    )
    for _ in range(150):
        worker.run_once(timeout_ms=0)
    return transport


def lists(log: MemoryLog) -> dict[bytes, tuple[tuple[str, float], ...]]:
    table = log.table("recommendation-updated").items()
    return {
        key: tuple((item.product_id, item.score) for item in decode("recommendation-updated", value).items)  # type: ignore[union-attr]
        for key, value in table
    }


def states(log: MemoryLog) -> list[SimilarState]:
    return [decode("similar-state", record.value or b"") for record in log.records("similar-state")]  # type: ignore[misc]


@pytest.fixture(scope="module")
def undisturbed() -> MemoryLog:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similar_settings, "LEARN_AT", (12, 30))
        log = a_log()
        run(log, batch=7)
    return log


def test_what_was_learnt_is_kept_with_the_lists(undisturbed: MemoryLog) -> None:
    assert [(state.encoder_id, state.products) for state in states(undisturbed)] == [("one", 12), ("one", 30)]


@pytest.mark.parametrize("batch", [1, 64])
def test_a_batch_equals_one_by_one(undisturbed: MemoryLog, batch: int) -> None:
    log = a_log()
    run(log, batch)
    assert lists(log) == lists(undisturbed)
    assert states(log) == states(undisturbed)


def fails(when: str, commit: int) -> Callable[[MemoryLog], None]:
    def crash(log: MemoryLog) -> None:
        transport = MemoryTransport(
            log, "similar-products", ["image-features"], ["product-created"], sole_owner=True
        )
        worker = Worker(
            SimilarProductsStage(SETTINGS), transport, settings=WorkerSettings(max_batch_records=7, **FAST)
        )
        for _ in range(commit):
            worker.run_once(timeout_ms=0)
        log.fail_next_commit(when)  # type: ignore[arg-type]
        for _ in range(3):
            worker.run_once(timeout_ms=0)
        transport.kill()

    return crash


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("commit", [3, 4, 6, 7, 9])
def test_a_crash_leaves_what_an_undisturbed_run_leaves(undisturbed: MemoryLog, when: str, commit: int) -> None:
    log = a_log()
    fails(when, commit)(log)
    run(log, batch=11)
    assert lists(log) == lists(undisturbed)
    assert states(log)[-1] == states(undisturbed)[-1]


def test_an_older_shop_learns_at_its_next_start(undisturbed: MemoryLog) -> None:
    log = a_log()
    run(log, 7, SETTINGS.model_copy(update={"correct_hubs": False})).kill()
    assert states(log) == []
    run(log, 7)
    assert [state.products for state in states(log)] == [50]


def test_a_state_whose_arrays_do_not_fit_is_refused() -> None:
    rows = np.random.default_rng(1).standard_normal((20, WIDTH))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    correction = learn_correction({f"p{n}": row for n, row in enumerate(rows.astype(np.float16))})
    state = to_state("one", correction, NO_CAUSE)
    assert from_state(state) == correction
    with pytest.raises(InvalidEventError, match="do not fit"):
        from_state(SimilarState("one", 1, 0.0, state.centre, state.directions[:-2], state.sample, 0))


def test_the_index_is_measured_now_and_then() -> None:
    log = a_log()
    transport = MemoryTransport(log, "similar-products", ["image-features"], ["product-created"], sole_owner=True)
    metrics = StageMetrics("similar-products")
    worker = Worker(SimilarProductsStage(SETTINGS), transport, metrics=metrics)
    for _ in range(20):
        worker.run_once(timeout_ms=0)

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"stage": "similar-products"})

    assert value("recsys_neighbour_recall") == 1.0
    assert (value("recsys_largest_in_degree") or 0) >= 4
    assert 0 <= (value("recsys_in_no_list_share") or 0) < 1

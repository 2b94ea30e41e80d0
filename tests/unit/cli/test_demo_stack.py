from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cli.demo_run import DemoOptions, _hint, _plan
from cli.demo_stack import (
    CatalogueWish,
    DemoCatalogue,
    free_ports,
    kafka_environment,
    prepare_catalogue,
    stage_processes,
    workspace,
)
from producers.errors import UnreadableSourceError
from schemas.errors import ConfigurationError
from schemas.events import ProductCreated
from schemas.kafka_settings import KafkaSettings

PRODUCTS = [ProductCreated(f"P{number}", 0, category=f"c{number // 10}") for number in range(100)]


def options(*, once: bool, events: int | None = None) -> DemoOptions:
    return DemoOptions(CatalogueWish(None, 100, 7), once, False, 25.0, events, False, open_browser=False)


def test_ports_are_free_and_all_different() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(0 < port < 65_536 for port in ports)


def test_each_stage_is_told_where_kafka_and_the_pictures_are(tmp_path: Path) -> None:
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:19092", topic_prefix="demo-1-")
    processes = stage_processes(["image-features", "trending"], settings, tmp_path)
    first, second = processes.specs
    assert first.environment["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:19092"
    assert first.environment["KAFKA_TOPIC_PREFIX"] == "demo-1-"
    assert first.environment["RECSYS_IMAGES__FETCH__IMAGES_DIR"] == str(tmp_path)
    assert first.environment["RECSYS_RUNTIME__METRICS_PORT"] != second.environment["RECSYS_RUNTIME__METRICS_PORT"]
    assert list(second.command[-2:]) == ["run", "trending"]
    assert second.health_url is not None
    assert second.health_url.replace("/ready", "/metrics") == processes.metrics_urls["trending"]


def test_a_catalogue_of_the_shop_s_own_is_read_and_bad_rows_are_said(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / f"{name}.png")
    rows = "product_id,category,image\nA,mugs,images/a.png\nB,vases,images/b.png\n,mugs,images/a.png\n"
    (tmp_path / "catalog.csv").write_text(rows)
    catalogue = prepare_catalogue(CatalogueWish(tmp_path, 0, 0), tmp_path).result(20)
    assert [product.product_id for product in catalogue.products] == ["A", "B"]
    assert catalogue.headline == f"{tmp_path.name}: 2 products in 2 categories"
    assert catalogue.images_dir == tmp_path
    assert len(catalogue.rejected) == 1
    assert catalogue.rejected[0].startswith("line 4: ")


def test_a_catalogue_without_products_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSourceError, match="nowhere"):
        prepare_catalogue(CatalogueWish(tmp_path / "nowhere", 0, 0), tmp_path)
    (tmp_path / "catalog.csv").write_text("product_id,image\n")
    with pytest.raises(ConfigurationError, match="there is no product in"):
        prepare_catalogue(CatalogueWish(tmp_path, 0, 0), tmp_path).result(20)


def test_what_a_demo_writes_is_removed_unless_it_is_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workspace(keep=False) as folder:
        (folder / "file").write_text("x")
    assert not folder.exists()
    monkeypatch.setenv("RECSYS_DATA_DIR", str(tmp_path))
    with workspace(keep=True) as folder:
        assert folder == tmp_path / "demo"
    assert folder.is_dir()


def test_live_some_products_of_every_category_are_held_back_for_launches() -> None:
    plan = _plan(PRODUCTS, options(once=False))
    assert len(plan.launches) == 10
    assert {product.category for product in plan.launches} == {f"c{number}" for number in range(10)}
    assert sorted(p.product_id for p in (*plan.products, *plan.launches)) == sorted(p.product_id for p in PRODUCTS)
    assert plan.products[0] == PRODUCTS[0]


def test_a_round_publishes_everything_at_once() -> None:
    plan = _plan(PRODUCTS, options(once=True, events=300))
    assert (len(plan.products), len(plan.launches), plan.events, plan.seed) == (100, 0, 300, 7)
    assert len(_plan(PRODUCTS[:5], options(once=False)).launches) == 0


def test_the_hint_says_what_has_to_be_set_in_another_terminal() -> None:
    catalogue = DemoCatalogue("a shop", PRODUCTS, Path())
    usual = KafkaSettings(bootstrap_servers="127.0.0.1:9092")
    assert _hint(usual, catalogue).endswith("in another terminal: recsys show similar P0")
    elsewhere = KafkaSettings(bootstrap_servers="127.0.0.1:19092", topic_prefix="demo-1-")
    assert "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:19092 KAFKA_TOPIC_PREFIX=demo-1- recsys show" in _hint(
        elsewhere, catalogue
    )
    assert kafka_environment(usual)["KAFKA_TOPIC_PREFIX"] == ""

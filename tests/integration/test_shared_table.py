"""The table in Redis: what is written is read, an older message never replaces a newer one, one process writes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis_server import redis_server

from consumers.runtime.records import Record
from schemas.codec import encode
from schemas.events import ListedProduct, ProductCreated, RecommendationUpdated
from storefront.api.settings import StreamLimits
from storefront.api.stream import StreamHub
from storefront.errors import NotLeadingError, TablesUnavailableError
from storefront.lists import ListTable
from storefront.products import ProductTable
from storefront.redis_tables import RedisTables
from storefront.redis_writer import RedisWriter
from storefront.shelves import Filters, ShelfRequest, Shelves
from storefront.tables import Currency, MemoryTables, product_key


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(Path(tmp_path_factory.mktemp("redis"))) as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    with Redis.from_url(server) as redis:
        redis.flushall()
    return server


class Topics:
    """Records with offsets as Kafka gives them, in one partition a topic."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, topic: str, key: str, value: bytes | None, partition: int = 0) -> Record:
        record = Record(topic, partition, len(self.records), 1_000 + len(self.records), key.encode(), value, ())
        self.records.append(record)
        return record

    def product(self, product_id: str, category: str = "mugs", in_stock: bool = True) -> Record:
        product = ProductCreated(product_id, len(self.records), product_id, category, in_stock=in_stock)
        return self.put("product-created", product_id, encode(product))

    def retired(self, product_id: str) -> Record:
        return self.put("product-created", product_id, None)

    def listed(self, subject: str, products: str, revision: int, kind: str = "similar") -> Record:
        items = [ListedProduct(product_id, 1.0, "looks-like") for product_id in products.split()]
        updated = RecommendationUpdated(kind, subject, revision, items, 0, "x", 0)
        return self.put("recommendation-updated", updated.key, encode(updated))


def leading(url: str, identity: str = "topics", prefix: str = "") -> RedisWriter:
    with Redis.from_url(url) as redis:
        redis.delete(f"recsys:{{{prefix}}}:lease")  # as if the one before had been silent for too long
    writer = RedisWriter(url, prefix)
    assert writer.lead()
    writer.begin(identity)
    return writer


def read(url: str, ask: Callable[[RedisTables], Coroutine[Any, Any, Any]], prefix: str = "") -> Any:
    async def asked() -> Any:
        tables = RedisTables(url, prefix, StreamHub(StreamLimits()), 5.0)
        try:
            return await ask(tables)
        finally:
            await tables.close()

    return asyncio.run(asked())


def revision(url: str, key: str) -> int | None:
    (found,) = read(url, lambda tables: tables.lists([key]))
    return None if found is None else int(found.recommendation.revision)


def shop(topics: Topics) -> None:
    rng = random.Random(3)
    names = [f"p{n}" for n in range(30)]
    for name in names:
        topics.product(name, rng.choice(["mugs", "sofas"]))
    for step in range(120):
        name = rng.choice(names)
        match rng.randrange(8):
            case 0:
                topics.retired(name)
            case 1:
                topics.product(name, rng.choice(["mugs", "sofas"]), in_stock=rng.random() < 0.5)
            case 2:
                topics.put("recommendation-updated", f"similar:{name}", None)
            case _:
                topics.listed(name, " ".join(rng.sample(names, 6)), step + 1)
    topics.listed("mugs", " ".join(names), 1, "popular")


def test_the_answers_are_those_of_a_table_in_memory(url: str) -> None:
    topics = Topics()
    shop(topics)
    writer = leading(url)
    for at in range(0, len(topics.records), 7):
        writer.take(topics.records[at : at + 7])
    memory = MemoryTables(ListTable(), ProductTable(), Currency(5.0))
    memory.take(topics.records)
    requests = [ShelfRequest("similar", f"p{n}") for n in range(30)]

    async def shelves(tables: Any) -> Any:
        own = [await Shelves(tables).read([request], 4, Filters(fill=False)) for request in requests]
        filled = await Shelves(tables).read([ShelfRequest("popular", "mugs")], 10, Filters())
        return [[item.product for item in page.shelves[0].items] for page in [*own, filled]]

    found = read(url, shelves)
    assert found == asyncio.run(shelves(memory))
    assert any(found)
    for category in (None, "mugs", "sofas"):
        newest = read(url, lambda tables, of=category: tables.newest(of, 50))
        assert set(newest) == set(memory.product_table.newest(category, 50))
    assert set(read(url, lambda tables: tables.categories())) == set(memory.product_table.categories)
    writer.close()


def test_a_category_is_there_while_it_has_something_to_sell(url: str) -> None:
    topics, writer = Topics(), leading(url)

    def categories() -> list[str]:
        return sorted(read(url, lambda tables: tables.categories()))

    assert categories() == []
    writer.take([topics.product("a"), topics.product("b", "sofas"), topics.product("c", "lamps", in_stock=False)])
    assert categories() == ["mugs", "sofas"]
    writer.take([topics.retired("a"), topics.product("b", "lamps")])
    assert categories() == ["lamps"]
    writer.take([topics.product("a")])
    assert categories() == ["lamps", "mugs"]
    writer.close()


def test_a_writer_that_reads_from_the_beginning_takes_nobody_back(url: str) -> None:
    topics = Topics()
    records = [topics.listed("p", "a", 1), topics.listed("p", "b", 2), topics.listed("p", "c", 3)]
    leading(url).take(records)
    again = leading(url)
    for record in records:
        again.take([record])
        assert revision(url, "similar:p") == 3
    again.take([topics.put("recommendation-updated", "similar:p", None)])
    again.take(records)
    assert revision(url, "similar:p") is None
    again.take([topics.listed("p", "d", 1)])
    assert revision(url, "similar:p") == 1


def test_a_writer_that_was_overtaken_is_refused(url: str) -> None:
    topics = Topics()
    first = leading(url)
    first.take([topics.listed("p", "a", 1)])
    second = leading(url)
    second.take([topics.listed("p", "b", 2)])
    with pytest.raises(NotLeadingError):
        first.take([topics.listed("p", "c", 3)])
    with pytest.raises(NotLeadingError):
        first.current(5)
    assert revision(url, "similar:p") == 2
    first.resign()
    assert not RedisWriter(url, "").lead()
    second.resign()
    assert RedisWriter(url, "").lead()


def test_what_left_the_topics_unseen_is_swept_away(url: str) -> None:
    topics = Topics()
    leading(url).take(
        [
            topics.product("old", "hats"),
            topics.product("p"),
            topics.listed("old", "p", 1),
            topics.listed("p", "p", 2),
        ]
    )
    writer = leading(url)
    writer.take([record for record in topics.records if record.key not in (b"old", b"similar:old")])
    writer.current(7)
    assert revision(url, "similar:old") is None
    assert revision(url, "similar:p") == 2
    assert list(read(url, lambda tables: tables.newest(None, 5))) == ["p"]
    assert list(read(url, lambda tables: tables.newest("hats", 5))) == []


def test_topics_that_were_made_anew_begin_with_an_empty_table(url: str) -> None:
    topics = Topics()
    topics.product("x")
    leading(url).take([topics.product("p"), topics.listed("p", "p", 5)])
    writer = leading(url, "other topics")
    assert revision(url, "similar:p") is None
    writer.take([Topics().listed("p", "p", 1)])
    assert revision(url, "similar:p") == 1


def test_shops_with_different_prefixes_share_a_server(url: str) -> None:
    topics = Topics()
    leading(url, prefix="one.").take([topics.listed("p", "a", 1)])
    leading(url, "others", prefix="two.").take([topics.listed("p", "a", 7)])
    assert read(url, lambda tables: tables.lists(["similar:p"]), "one.")[0].recommendation.revision == 1
    assert read(url, lambda tables: tables.lists(["similar:p"]), "two.")[0].recommendation.revision == 7


def test_streams_of_every_process_are_told(url: str) -> None:
    topics = Topics()
    writer = leading(url)
    writer.take([topics.listed("p", "a", 1)])

    async def scenario() -> None:
        hub = StreamHub(StreamLimits())
        tables = RedisTables(url, "", hub, 5.0)
        await tables.start()
        client = hub.open(["similar:p", "similar:q"])
        await asyncio.sleep(0.3)
        assert client.queue.empty()
        await asyncio.to_thread(writer.take, [topics.listed("p", "b", 2), topics.listed("r", "b", 1)])
        await asyncio.to_thread(writer.current, 9_000)
        change = await asyncio.wait_for(client.queue.get(), 5)
        assert change is not None
        assert (change[0], change[1].recommendation.revision) == ("similar:p", 2)  # type: ignore[union-attr]
        watching = hub.open([product_key("p")])
        await asyncio.to_thread(writer.take, [topics.product("p"), topics.product("q")])
        assert await asyncio.wait_for(watching.queue.get(), 5) == (product_key("p"), None)
        await asyncio.sleep(0.6)
        assert (await tables.freshness())[:2] == (True, 9_000)
        await tables.close()

    asyncio.run(scenario())


def test_a_redis_that_is_gone_is_said_so() -> None:
    with pytest.raises(TablesUnavailableError, match="try again in a moment"):
        read("redis://127.0.0.1:1/0", lambda tables: tables.lists(["similar:p"]))
    with pytest.raises(TablesUnavailableError):
        RedisWriter("redis://127.0.0.1:1/0", "").lead()

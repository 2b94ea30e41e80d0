// Follows the lists of this page, and puts each into its place as soon as it has changed.

import { announce, changed, connected } from "./happened.js";
import { replaceCards, saidFresh } from "./shelves.js";

const MOST_SHOWN = 200;

const shown = () => [...document.querySelectorAll("[data-shelf]")];
const ids = (shelf) => [...shelf.querySelectorAll("[data-cards] > [data-product]")].map((card) => card.dataset.product);

// The stream ends while nobody looks: a browser has six connections to a shop, and each open page would hold one.
const HIDDEN_MS = 5000;
const FIRST_TRY_MS = 1500;

export function follow(page, whenOpen) {
  let source = null;
  let since = page.renderedMs;
  let begun = false;
  const begin = () => {
    if (!begun) whenOpen();
    begun = true;
  };
  const connect = () => {
    if (source) return;
    const again = begun;
    source = new EventSource(`/stream?${asked(page, since)}`);
    source.addEventListener("open", () => {
      connected(true);
      begin();
    });
    source.addEventListener("error", () => connected(false));
    source.addEventListener("recommendation-updated", ({ data }) => {
      const list = JSON.parse(data);
      since = String(Math.max(Number(since), list.published_at_ms));
      take(list);
    });
    source.addEventListener("product-updated", ({ data }) => takeProduct(JSON.parse(data)));
    // What went meanwhile left no trace in the stream, so what is shown is asked for once more.
    if (again) shown().forEach((shelf) => refresh(shelf, 0));
  };
  const disconnect = () => {
    source?.close();
    source = null;
  };
  let hiding = null;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(disconnect, HIDDEN_MS);
    else connect();
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", ({ persisted }) => { if (persisted) connect(); });
  // What the shopper does counts also where the stream does not come about.
  setTimeout(begin, FIRST_TRY_MS);
  connect();
}

// Lists that changed between two pages are in the newer page already, but what they tell of the shopper's last step
// belongs into the panel, so the stream begins when the page was made.
function asked(page, since) {
  const query = new URLSearchParams({ subject: page.subject, since_ms: since });
  const about = new Set();
  const products = new Set();
  for (const { dataset: { kind, subject } } of shown()) {
    if (kind === "trending" || kind === "popular") about.add(subject);
    else if (kind !== "for-you") products.add(subject);
  }
  if (page.viewing) products.add(page.viewing);
  const cards = [...document.querySelectorAll("[data-cards] > [data-product]")].map((card) => card.dataset.product);
  const watched = new Set(page.viewing ? [page.viewing, ...cards] : cards);
  if (watched.size) query.set("shown", [...watched].slice(0, MOST_SHOWN).join(","));
  if (products.size) query.set("products", [...products].join(","));
  if (about.size) query.set("categories", [...about].join(","));
  return query;
}

async function take(list) {
  const shelf = shown().find(({ dataset }) => dataset.kind === list.kind && dataset.subject === list.subject);
  const difference = shelf ? await refresh(shelf, list.revision) : null;
  const took = changed(list, difference);
  if (shelf && difference && took !== null) {
    saidFresh(shelf, `updated in ${took}`);
    announce(`${shelf.querySelector("h2").textContent} has changed`);
  }
}

const running = new WeakMap();

// One request a shelf at a time: while one is under way, a newer revision waits for it and asks once more.
async function refresh(shelf, revision) {
  const before = running.get(shelf);
  const work = (async () => {
    await before;
    return Number(shelf.dataset.revision) >= revision && revision > 0 ? null : load(shelf);
  })().catch(() => null);
  running.set(shelf, work);
  return work;
}

async function load(shelf) {
  const { kind, subject, placement } = shelf.dataset;
  const answer = await fetch(`/shelf?${new URLSearchParams({ kind, subject, placement })}`);
  if (!answer.ok) return null;
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  const newer = parsed.querySelector("[data-shelf]");
  const was = ids(shelf);
  const is = ids(newer);
  replaceCards(shelf, newer);
  const moved = is.filter((id, place) => was.includes(id) && was.indexOf(id) !== place).length;
  return { entered: is.filter((id) => !was.includes(id)).length, left: was.filter((id) => !is.includes(id)).length, moved };
}

// A product that is gone, or sold out, leaves the page wherever it stands.
function takeProduct({ product_id: id, available }) {
  if (available) return;
  if (document.body.dataset.viewing === id) {
    const notice = document.createElement("p");
    notice.className = "notice";
    notice.setAttribute("role", "status");
    notice.textContent = "This product is not available any more.";
    document.querySelector(".product-actions")?.replaceWith(notice);
  }
  for (const card of document.querySelectorAll("[data-cards] > [data-product]")) {
    if (card.dataset.product !== id) continue;
    if (card.contains(document.activeElement)) document.getElementById("main").focus({ preventScroll: true });
    card.remove();
  }
}

// Tells which recommendations came into sight and which were followed, so that their worth can be measured.

const SEEN_MS = 600;
const SEND_MS = 3000;
const MOST_AT_ONCE = 100;
const waiting = [];
const seen = new Set();
let page = {};
let timer = null;

export function watchShelves(data) {
  page = data;
  const pending = new Map();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      clearTimeout(pending.get(target));
      pending.delete(target);
      if (isIntersecting) pending.set(target, setTimeout(() => cameIntoSight(target), SEEN_MS));
    }
  }, { threshold: 0.5 });
  const watch = (shelf) => {
    for (const card of shelf.querySelectorAll("[data-product]")) {
      watcher.unobserve(card); // What stays in sight while its list changes is seen in the newer list as well.
      watcher.observe(card);
    }
  };
  document.addEventListener("cards", ({ target }) => watch(target.closest("[data-shelf]")));
  document.addEventListener("click", followed);
  addEventListener("pagehide", send);
  document.querySelectorAll("[data-shelf]").forEach(watch);
}

function cameIntoSight(card) {
  const event = about(card, "impression");
  const key = event && `${event.recommendation_id} ${event.product_id}`;
  if (!event || seen.has(key)) return;
  seen.add(key);
  queue(event);
}

function followed({ target }) {
  const card = target.closest(".card-link")?.closest("[data-shelf] [data-product]");
  const event = card && about(card, "click");
  if (!event) return;
  cameIntoSight(card); // It was, even if it has just come.
  queue(event);
}

function about(card, type) {
  const shelf = card.closest("[data-shelf]");
  if (!shelf) return null;
  const { kind, placement, recommendation, variant } = shelf.dataset;
  const who = page.user ? { user_id: page.user } : { session_id: page.session };
  const rank = [...card.parentElement.children].indexOf(card) + 1;
  const { product, reason } = card.dataset;
  const where = { placement, kind, rank, variant, reason, recommendation_id: recommendation };
  return { type, event_id: newId(), ...who, product_id: product, ...where };
}

export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function queue(event) {
  waiting.push(event);
  if (waiting.length >= MOST_AT_ONCE) send();
  else timer ??= setTimeout(send, SEND_MS);
}

// A page that is being left cannot wait for an answer, and none is needed on any other.
function send() {
  clearTimeout(timer);
  timer = null;
  while (waiting.length) navigator.sendBeacon("/events", JSON.stringify(waiting.splice(0, MOST_AT_ONCE)));
}

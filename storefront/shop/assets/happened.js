// "What just happened": each step of the shopper, the lists that it changed, and how long that took.

const STEPS = 12;
const QUIET_MS = 3000;
const KEY = "happened";
const panel = document.getElementById("happened");
const opener = document.querySelector("[data-happened-open]");
const list = document.querySelector("[data-happened-list]");
const wide = matchMedia("(min-width: 1101px)");
let state = { subject: "", steps: [] };
const begunHere = new Set();

const NAMES = {
  "similar": "Looks like this",
  "viewed-next": "Viewed next",
  "bought-together": "Bought together",
  "for-you": "For you",
  "trending": "Trending",
  "popular": "Popular",
  "complete-the-look": "Complete the look",
};

export function openPanel(subject) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    state = kept?.subject === subject ? kept : { subject, steps: [] };
  } catch {
    state = { subject, steps: [] };
  }
  opener.addEventListener("click", () => show(true, true));
  panel.querySelector("[data-happened-close]").addEventListener("click", () => show(false, true));
  panel.addEventListener("keydown", (event) => { if (event.key === "Escape") show(false, true); });
  const wanted = localStorage.getItem(KEY);
  show(wide.matches && wanted !== "closed", false);
  draw();
}

function show(open, asked) {
  panel.hidden = !open;
  opener.hidden = open;
  opener.setAttribute("aria-expanded", String(open));
  panel.parentElement.classList.toggle("has-panel", open);
  dispatchEvent(new Event("resize"));
  if (!asked) return;
  localStorage.setItem(KEY, open ? "open" : "closed");
  (open ? panel.querySelector("[data-happened-close]") : opener).focus();
}

export function connected(yes) {
  const line = document.querySelector("[data-stream-state]");
  line.textContent = yes ? "Live, timed from your click to the screen" : "Connection lost, trying again …";
  line.classList.toggle("live", yes);
}

// A step of the shopper. What follows from it names the cause, or a cause that begins so.
export function record(cause, what) {
  if (state.steps.some((step) => step.cause === cause)) return;
  begunHere.add(cause);
  state.steps.unshift({ cause, what, at: Date.now(), lists: [] });
  setTimeout(draw, QUIET_MS + 50);
  state.steps.length = Math.min(state.steps.length, STEPS);
  keep();
}

// The step did not take place after all.
export function withdraw(cause) {
  state.steps = state.steps.filter((step) => step.cause !== cause);
  keep();
}

// A list has changed; returns how long it took in words where the shopper's own step was the cause, else null.
export function changed(recommendation, difference) {
  const { kind, subject, caused_by: cause, revision } = recommendation;
  const step = stepOf(cause, kind, subject);
  if (!step) return null;
  const tookMs = Math.max(0, recommendation.published_at_ms - recommendation.caused_at_ms);
  const onScreenMs = difference && begunHere.has(step.cause) ? Date.now() - step.at : null;
  if (step.lists.some((known) => known.kind === kind && known.subject === subject && known.revision >= revision)) return duration(tookMs);
  step.lists = step.lists.filter((known) => known.kind !== kind || known.subject !== subject);
  step.lists.push({ kind, subject, revision, tookMs, onScreenMs, difference, products: recommendation.items.length });
  keep();
  return duration(onScreenMs ?? tookMs);
}

function stepOf(cause, kind, subject) {
  const known = state.steps.find((step) => cause === step.cause || cause.startsWith(`${step.cause}-`));
  if (known || kind !== "for-you" || subject !== state.subject || !cause) return known;
  const [topic] = cause.split("/");
  const what = { "pdp-view": "A look", "cart-add": "Something put into the cart", "purchase": "A purchase" }[topic];
  record(cause, what ? `${what}, on another page` : "The shop changed its products");
  begunHere.delete(cause);
  return state.steps[0];
}

export function announce(text) {
  const line = document.querySelector("[data-announce]");
  if (line.textContent !== text) line.textContent = text;
}

export function duration(ms) {
  const [number, unit] = ms < 1000 ? [Math.round(ms), "ms"] : [(ms / 1000).toFixed(1), "s"];
  return `${number}\u00a0${unit}`;
}

function keep() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(state));
  } catch { /* a full or forbidden storage only means that the next page begins anew */ }
  draw();
}

function draw() {
  list.replaceChildren(...state.steps.map(drawn));
  document.querySelector("[data-happened-none]").hidden = state.steps.length > 0;
}

function drawn(step, place) {
  const item = made("li", place === 0 ? "step latest" : "step");
  item.append(made("p", "step-what", step.what));
  const at = new Date(step.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const count = step.lists.length;
  const none = Date.now() - step.at > QUIET_MS ? `${at} · no list on this page had to change` : at;
  item.append(made("p", "step-when", count ? `${at} · ${count} ${count === 1 ? "list" : "lists"} changed` : none));
  if (!count) return item;
  const lists = made("ul", "step-lists");
  for (const changes of step.lists) {
    const line = made("li");
    line.append(made("span", "name", NAMES[changes.kind] ?? changes.kind), made("span", "took", duration(changes.onScreenMs ?? changes.tookMs)));
    line.append(made("span", "detail", detail(changes)));
    lists.append(line);
  }
  item.append(lists);
  return item;
}

// Published: from the event on the log to the list; what stands on the right is from the click to the screen.
function detail({ difference, tookMs, products }) {
  const published = `published after ${duration(tookMs)}`;
  if (!difference) return `${products} ${products === 1 ? "product" : "products"}, ${published}`;
  const parts = [];
  if (difference.entered) parts.push(`${difference.entered} new`);
  if (difference.left) parts.push(`${difference.left} gone`);
  if (difference.moved) parts.push(`${difference.moved} moved`);
  if (!parts.length) parts.push("further down");
  return `${parts.join(", ")} · ${published}`;
}

function made(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

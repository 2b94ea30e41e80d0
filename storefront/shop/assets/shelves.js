// Shelves on the screen: skeletons while pictures load, arrows, and the change from an older list to a newer one.

const calm = matchMedia("(prefers-reduced-motion: reduce)");

// A picture's place shimmers until the picture is there.
export function showLoading(root) {
  for (const picture of root.querySelectorAll(".frame img")) {
    if (picture.complete) continue;
    const frame = picture.parentElement;
    frame.classList.add("loading");
    const done = () => frame.classList.remove("loading");
    picture.addEventListener("load", done, { once: true });
    picture.addEventListener("error", done, { once: true });
  }
}

export function showShelves(root) {
  for (const arrows of root.querySelectorAll(".arrows")) {
    const row = arrows.closest(".shelf").querySelector(".row");
    arrows.hidden = row === null || row.scrollWidth <= row.clientWidth + 8;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-scroll]");
  if (!button) return;
  const row = button.closest(".shelf").querySelector(".row");
  const left = Number(button.dataset.scroll) * row.clientWidth * 0.8;
  row.scrollBy({ left, behavior: calm.matches ? "auto" : "smooth" });
});

addEventListener("resize", () => showShelves(document));

const products = (list) => new Map([...list.children].filter((card) => card.dataset.product).map((card) => [card.dataset.product, card]));

// Puts the newer list in the place of the older one: what stays moves to its new place, what is new lights up.
export function replaceCards(shelf, newer) {
  const list = shelf.querySelector("[data-cards]");
  const incoming = newer.querySelector("[data-cards]");
  const before = products(list);
  const places = new Map([...before].map(([id, card]) => [id, card.getBoundingClientRect().left]));
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const scrolled = list.scrollLeft;
  const kept = [...products(incoming)].map(([id, card]) => before.get(id)?.isEqualNode(card) ? before.get(id) : merged(before.get(id), card, before.size > 0));
  list.replaceChildren(...kept);
  list.className = incoming.className;
  list.removeAttribute("aria-hidden");
  list.scrollLeft = scrolled;
  shelf.dataset.revision = newer.dataset.revision;
  shelf.dataset.recommendation = newer.dataset.recommendation;
  shelf.dataset.variant = newer.dataset.variant;
  list.dispatchEvent(new Event("cards", { bubbles: true }));
  if (focused && list.contains(focused)) focused.focus({ preventScroll: true });
  else if (focused) (list.querySelector("a") ?? document.getElementById("main")).focus({ preventScroll: true });
  showLoading(list);
  showShelves(document);
  glide(list, places);
}

// A card that was there is kept as it is, for its picture and its focus; only what it says may be new.
function merged(old, card, markNew) {
  if (!old) {
    if (markNew) card.classList.add("entered");
    return card;
  }
  old.classList.remove("entered");
  old.dataset.reason = card.dataset.reason;
  for (const part of [".reason", ".price"]) {
    const was = old.querySelector(part);
    const is = card.querySelector(part);
    if (was && is) was.textContent = is.textContent;
    else if (was) was.remove();
    else if (is) old.querySelector(".card-link").after(is);
  }
  return old;
}

function glide(list, places) {
  if (calm.matches) return;
  for (const [id, card] of products(list)) {
    const moved = (places.get(id) ?? 0) - card.getBoundingClientRect().left;
    if (!places.has(id)) card.animate({ opacity: [0, 1] }, 300);
    else if (moved) card.animate({ transform: [`translateX(${moved}px)`, "none"] }, { duration: 350, easing: "ease" });
  }
}

export function saidFresh(shelf, text) {
  const note = shelf.querySelector("[data-fresh]");
  note.textContent = text;
  note.hidden = false;
  clearTimeout(note.timer);
  note.timer = setTimeout(() => { note.hidden = true; }, 6000);
}

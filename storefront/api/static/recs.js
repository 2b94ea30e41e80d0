/* Recommendations on a shop's own pages: README, "On your pages". No dependencies, no cookies. */
(() => {
  "use strict";
  const script = document.currentScript, base = new URL(script.src).origin, set = script.dataset;
  const id = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), b => b.toString(16).padStart(2, "0")).join("");
  const guest = () => {
    try { return localStorage.recs || (localStorage.recs = id()); } catch { return id(); }
  };
  const who = { session_id: set.session || guest() };
  if (set.user) who.user_id = set.user;
  const subject = who.user_id || who.session_id;
  let waiting = [];

  const send = (type, product_id, more) => {
    waiting.push({ type, product_id, event_id: id(), ...who, ...more });
    if (waiting.length >= 50) flush();
  };
  const flush = () => {
    if (!waiting.length) return;
    const body = JSON.stringify(waiting.splice(0, 100));
    // Text, for a beacon of another type would ask the server first, which a page that is left cannot wait for.
    if (!navigator.sendBeacon(base + "/events", body))
      fetch(base + "/events", { method: "POST", body, keepalive: true }).catch(() => {});
  };
  setInterval(flush, 1000);
  addEventListener("visibilitychange", flush);
  addEventListener("pagehide", flush);

  const make = (tag, parent, text) => {
    const made = parent.appendChild(document.createElement(tag));
    if (text) made.textContent = text;
    return made;
  };
  const seen = new IntersectionObserver(entries => entries.forEach(({ isIntersecting, target }) => {
    if (!isIntersecting) return;
    seen.unobserve(target);
    send("impression", ...target.shown);
  }), { threshold: 0.5 });

  const card = (list, item, shelf, place) => {
    const li = make("li", list), a = make("a", li);
    a.href = (place.href || set.href || "/products/{id}").replace("{id}", encodeURIComponent(item.product_id));
    if (item.image_url) Object.assign(make("img", a), { src: item.image_url, alt: "", loading: "lazy" });
    make("b", a, item.title || item.product_id);
    if (item.price !== null) make("span", a, (set.currency || "") + item.price.toFixed(2));
    make("small", a, item.text);
    li.shown = [item.product_id, { recommendation_id: shelf.recommendation_id, kind: shelf.kind, rank: item.rank,
      placement: place.placement || "" }];
    a.onclick = () => { send("click", ...li.shown); flush(); };
    seen.observe(li);
  };
  const render = async box => {
    const { recs, product, category, n } = box.dataset;
    const query = new URLSearchParams({ kinds: recs, n: n || 6, user: subject });
    if (product) query.set("product", product);
    if (category) query.set("about_category", category);
    const answer = await fetch(base + "/lists?" + query);
    if (!answer.ok) return;
    const shelf = (await answer.json()).lists[0], list = document.createElement("ul");
    shelf.items.forEach(item => card(list, item, shelf, box.dataset));
    box.replaceChildren(list);
  };
  const boxes = () => [...document.querySelectorAll("[data-recs]")];
  const refresh = () => boxes().forEach(box => render(box).catch(() => {}));
  const start = () => {
    refresh();
    if (set.live === undefined) return;
    const products = boxes().map(box => box.dataset.product || "").join();
    new EventSource(base + "/stream?" + new URLSearchParams({ subject, products }))
      .addEventListener("recommendation-updated", ({ data }) => {
        const { kind } = JSON.parse(data);
        boxes().filter(box => box.dataset.recs === kind).forEach(box => render(box).catch(() => {}));
      });
  };
  window.recs = { view: p => send("view", p), cart: (p, quantity = 1) => send("cart-add", p, { quantity }),
    buy: (p, quantity = 1, unit_price) => send("purchase", p, { quantity, unit_price }), refresh, flush };
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", start) : start();
})();

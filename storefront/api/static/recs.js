/* Recommendations on a shop's own pages; see docs/api.md. Sets no cookie, needs no library. */
(() => {
  const { src, dataset: set } = document.currentScript, base = new URL(src).origin;
  const id = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), b => b.toString(36)).join("");
  const guest = () => {
    try { return localStorage.recs ||= id(); } catch { return id(); }
  };
  const who = { session_id: set.session || guest(), ...(set.user && { user_id: set.user }) };
  const subject = set.user || who.session_id;
  let waiting = [];

  const flush = () => {
    const batch = waiting.splice(0, 200);
    if (!batch.length) return;
    // Text, not JSON: for JSON the browser asks the server first, which a page that is left cannot wait for.
    if (!navigator.sendBeacon(base + "/events", JSON.stringify(batch))) waiting = [...batch, ...waiting].slice(0, 500);
  };
  const send = (type, product_id, more) => waiting.push({ type, product_id, event_id: id(), ...who, ...more });
  setInterval(flush, 1000);
  addEventListener("visibilitychange", flush);

  const make = (parent, tag, text) => {
    const made = parent.appendChild(document.createElement(tag));
    if (text) made.textContent = text;
    return made;
  };
  const sight = new IntersectionObserver(seen => seen.forEach(({ isIntersecting, target }) => {
    if (!isIntersecting) return;
    sight.unobserve(target);
    send("impression", ...target.shown);
  }), { threshold: 0.5 });

  const card = (list, { recommendation_id, kind, variant }, item, { href, placement }) => {
    const { product_id, rank, title, price, image_url, text, reason } = item, li = make(list, "li"), a = make(li, "a");
    a.href = (href || set.href || "/products/{id}").replace("{id}", encodeURIComponent(product_id));
    if (image_url) Object.assign(make(a, "img"), { src: image_url, alt: "", loading: "lazy" });
    make(a, "b", title || product_id);
    if (price != null) make(a, "span", (set.currency || "") + price.toFixed(2));
    make(a, "small", text);
    li.shown = [product_id, { recommendation_id, kind, rank, placement, variant, reason }];
    a.onclick = () => send("click", ...li.shown);
    sight.observe(li);
  };
  const fill = async box => {
    const { recs: kinds, product, category, n = 6, placement = "" } = box.dataset;
    const query = new URLSearchParams({ kinds, n, placement, user: subject });
    product && query.set("product", product);
    category && query.set("about_category", category);
    const { lists: [shelf] } = await (await fetch(base + "/lists?" + query)).json();
    const list = document.createElement("ul");
    shelf.items.forEach(item => card(list, shelf, item, box.dataset));
    box.replaceChildren(list);
  };
  const boxes = () => [...document.querySelectorAll("[data-recs]")];
  const refresh = kind => boxes().forEach(box =>
    (kind && kind != box.dataset.recs) || fill(box).catch(() => {}));
  window.recs = {
    refresh,
    view: product => send("view", product),
    cart: (product, quantity) => send("cart-add", product, { quantity }),
    buy: (product, quantity, unit_price) => send("purchase", product, { quantity, unit_price }),
  };
  refresh();
  if ("live" in set) {
    const products = boxes().map(box => box.dataset.product).filter(Boolean).join();
    new EventSource(base + "/stream?" + new URLSearchParams({ subject, products })).addEventListener(
      "recommendation-updated", ({ data }) => refresh(JSON.parse(data).kind));
  }
})();

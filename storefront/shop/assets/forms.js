// Forms without a new page: putting into the cart. Buying and switching lead to another page anyway.

import { record, withdraw } from "./happened.js";
import { newId } from "./seen.js";

export function enhanceForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-add]")) {
      event.preventDefault();
      add(form);
    } else if (form.matches("[data-buy]")) {
      record(`purchase/${form.elements.token.value}`, `You bought ${form.dataset.buy}`);
    }
  });
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.switch[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.activeElement.closest("details.switch[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
}

async function add(form) {
  const button = form.querySelector("button");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  const { value: token } = form.elements.token;
  const title = form.closest(".card")?.querySelector(".card-title")?.textContent ?? document.querySelector("h1").textContent;
  record(`cart-add/${token}`, `You put ${title} into the cart`);
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" } });
    const { message, pieces } = await answer.json();
    toast(message);
    if (!answer.ok) return withdraw(`cart-add/${token}`);
    count(pieces);
    form.elements.token.value = newId();
  } catch {
    // The token stays the same, so that trying again counts once.
    withdraw(`cart-add/${token}`);
    toast("The shop does not answer. Please try again.");
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function count(pieces) {
  const badge = document.querySelector("[data-pieces]");
  badge.hidden = !pieces;
  badge.querySelector("[data-pieces-number]").textContent = pieces;
  badge.classList.remove("bump");
  void badge.offsetWidth;
  badge.classList.add("bump");
}

export function toast(text) {
  const box = document.querySelector("[data-toast]");
  box.textContent = text;
  box.classList.add("shown");
  clearTimeout(box.timer);
  box.timer = setTimeout(() => box.classList.remove("shown"), 3500);
}

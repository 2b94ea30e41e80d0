// Enhances pages that work without it: sends views, follows lists as they change, and searches by photo.

import { enhanceForms } from "./forms.js";
import { openPanel, record } from "./happened.js";
import { follow } from "./live.js";
import { enhancePhotoSearch } from "./photo.js";
import { watchShelves } from "./seen.js";
import { showLoading, showShelves } from "./shelves.js";

const page = document.body.dataset;

function sendView() {
  if (!page.viewing) return;
  // Going back to a page shows it again, but is no second view.
  const shown = `viewed ${page.viewToken}`;
  if (sessionStorage.getItem(shown)) return;
  sessionStorage.setItem(shown, "1");
  const event = { type: "view", event_id: page.viewToken, product_id: page.viewing };
  if (page.user) event.user_id = page.user;
  else event.session_id = page.session;
  record(`pdp-view/${page.viewToken}`, `You looked at ${page.viewingTitle}`);
  const body = JSON.stringify(event);
  const headers = { "Content-Type": "application/json" };
  // Kept alive, for a shopper who leaves at once has looked at it all the same.
  fetch("/events", { method: "POST", headers, body, keepalive: true }).then((answer) => {
    if (answer.status >= 500) setTimeout(() => fetch("/events", { method: "POST", headers, body }), 2000);
  }, () => {});
}

// On a narrow screen the department that one is in may stand further along the bar.
function showDepartment() {
  const here = document.querySelector(".categories [aria-current]");
  if (!here) return;
  const bar = here.closest("ul");
  bar.scrollLeft += here.getBoundingClientRect().left - (bar.clientWidth - here.offsetWidth) / 2;
}

showDepartment();
showLoading(document);
showShelves(document);
openPanel(page.subject);
enhanceForms();
enhancePhotoSearch();
watchShelves(page);
follow(page, sendView);

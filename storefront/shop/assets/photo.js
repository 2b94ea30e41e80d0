// Search by photo: dropped, pasted, chosen, or taken with the camera.

import { duration } from "./happened.js";
import { showLoading } from "./shelves.js";

const LARGEST_SIDE = 1024;
const JPEG_QUALITY = 0.9;

export function enhancePhotoSearch() {
  const form = document.querySelector("[data-photo]");
  if (!form) return;
  const drop = form.querySelector("[data-drop]");
  const file = form.querySelector("[data-file]");
  file.addEventListener("change", () => { if (file.files.length) searchBy(file.files[0]); });
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); taken(event.dataTransfer); });
  addEventListener("paste", (event) => taken(event.clipboardData));
  enhanceCamera(form);
}

function taken(data) {
  const photo = [...(data?.files ?? [])].find(({ type }) => type.startsWith("image/"));
  if (photo) searchBy(photo);
}

let search = 0;

async function searchBy(photo) {
  const turn = ++search;
  const results = document.querySelector("[data-results]");
  const problem = results.querySelector("[data-problem]");
  const found = results.querySelector("[data-found]");
  const took = results.querySelector("[data-took]");
  preview(photo);
  results.hidden = false;
  problem.hidden = true;
  took.textContent = "";
  found.replaceChildren(document.querySelector("[data-bones]").content.cloneNode(true));
  found.setAttribute("aria-busy", "true");
  const began = performance.now();
  try {
    const html = await cardsOf(await ranked(await smaller(photo)));
    if (turn !== search) return;
    found.innerHTML = html;
    took.textContent = `found in ${duration(performance.now() - began)}`;
    showLoading(found);
    if (!found.children.length) throw new Error("Nothing in the shop looks like this photo.");
    document.getElementById("found").focus({ preventScroll: true });
    results.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (turn !== search) return;
    found.replaceChildren();
    problem.textContent = error.message;
    problem.hidden = false;
  } finally {
    if (turn === search) found.removeAttribute("aria-busy");
  }
}

async function ranked(photo) {
  const body = new FormData();
  body.append("image", photo, "photo");
  const answer = await fetch("/search/image?n=24", { method: "POST", body });
  const { items, detail } = await answer.json();
  if (!answer.ok) throw new Error(detail ? `This photo cannot be searched by: ${detail}` : "This photo cannot be searched by.");
  return items.map((item) => item.product_id);
}

async function cardsOf(productIds) {
  if (!productIds.length) return "";
  const answer = await fetch(`/cards?${new URLSearchParams(productIds.map((id) => ["id", id]))}`);
  if (!answer.ok) throw new Error("The shop does not answer. Please try again.");
  return answer.text();
}

// A camera's photo has far more pixels than are looked at: it is made smaller before it is sent, where that works.
async function smaller(photo) {
  try {
    const bitmap = await createImageBitmap(photo, { imageOrientation: "from-image" });
    const scale = LARGEST_SIDE / Math.max(bitmap.width, bitmap.height);
    return scale < 1 ? await drawn(bitmap, bitmap.width * scale, bitmap.height * scale) : photo;
  } catch {
    return photo;
  }
}

function drawn(source, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width);
  canvas.height = Math.round(height);
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
}

function preview(photo) {
  const picture = document.querySelector("[data-preview]");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(photo);
  picture.hidden = false;
  picture.parentElement.classList.add("has-photo");
}

function enhanceCamera(form) {
  if (!navigator.mediaDevices?.getUserMedia) return;
  const button = form.querySelector("[data-camera]");
  const dialog = document.querySelector("[data-camera-dialog]");
  const video = dialog.querySelector("[data-video]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      dialog.showModal();
      await video.play();
    } catch {
      button.textContent = "The camera cannot be used";
      button.disabled = true;
    }
  });
  dialog.addEventListener("close", () => {
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  });
  dialog.querySelector("[data-camera-close]").addEventListener("click", () => dialog.close());
  dialog.querySelector("[data-snap]").addEventListener("click", async () => {
    if (!video.videoWidth) return;
    const photo = await drawn(video, video.videoWidth, video.videoHeight);
    dialog.close();
    if (photo) searchBy(photo);
  });
}

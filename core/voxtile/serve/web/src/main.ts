/** Which page is shown, and the head of all pages. */

import "../../../pages/templates/colours.css";
import "../../../pages/templates/base.css";
import "./style.css";
import { html, nothing, render } from "lit";
import { droppedAddress, EVERYTHING, findAddress, JUDGE, MAP, readPlace, reportsAddress } from "./address";
import { type About, ask, Refused } from "./api";
import { findPage } from "./find/page";
import { regionPage } from "./find/region";
import { judgePage } from "./judge/page";
import { droppedPage } from "./look/dropped";
import { lookPage } from "./look/page";
import { reportsPage } from "./look/reports";

const head = document.getElementById("head") as HTMLElement;
const main = document.getElementById("main") as HTMLElement;
let about: About | null = null;
let leave: () => void = () => {};
let turn = 0;

async function enter(): Promise<void> {
  const token = new URLSearchParams(location.hash.replace(/^#/, "")).get("token");
  if (token) {
    history.replaceState(null, "", location.pathname); // no token stays in the address or the history
    await ask("session", { token });
  }
}

function showHead(): void {
  const model = about?.model;
  const sizes = about ? `${about.samples.toLocaleString("en")} samples` : "";
  render(
    html`<a class="home" href=${findAddress(EVERYTHING)}>voxtile</a>
      <p>${sizes}${model ? html` · searched by <b>${model.name}</b>` : nothing}</p>
      <nav aria-label="Pages of voxtile"><a href=${findAddress(EVERYTHING)}>Find</a> <a href=${JUDGE}>Judge</a> <a href=${MAP}>Map</a> <a href=${reportsAddress(null)}>Reports</a> <a href=${droppedAddress("", 1)}>Dropped</a></nav>`,
    head,
  );
}

function showError(root: HTMLElement, error: unknown): void {
  const said = error instanceof Refused ? error.message : "Something went wrong in this page; load it again.";
  if (!(error instanceof Refused)) console.error(error);
  const notice = Object.assign(document.createElement("p"), { className: "notice", textContent: said, role: "alert" });
  root.replaceChildren(notice);
}

async function page(root: HTMLElement, about: About): Promise<() => void> {
  const place = readPlace(location.hash);
  if (place.page === "look") return lookPage(root, place.uid, about);
  if (place.page === "reports") return reportsPage(root, place.cases);
  if (place.page === "slide") return (await import("./look/slide")).slidePage(root, place.uid);
  if (place.page === "map") return (await import("./look/map")).mapPage(root);
  if (place.page === "dropped") return droppedPage(root, place.reason, place.number);
  if (place.page === "region") return regionPage(root, place.uid);
  if (place.page === "judge") return judgePage(root);
  return findPage(root, place.search, about);
}

async function show(): Promise<void> {
  const own = ++turn;
  leave();
  leave = () => {};
  const fresh = document.createElement("div");
  main.replaceChildren(fresh); // a page that still waits for an answer draws where nobody sees it
  try {
    await enter();
    about = await ask<About>("corpus"); // each time: it grows, and subjects are forgotten
    showHead();
    if (own !== turn) return;
    const left = await page(fresh, about);
    if (own === turn) leave = left;
    else left(); // another page was asked for meanwhile: nothing of this one may listen to keys
  } catch (error) {
    showError(fresh, error);
  }
}

window.addEventListener("hashchange", () => {
  window.scrollTo(0, 0);
  void show();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
  const field = document.querySelector<HTMLInputElement>("form[role=search] input");
  if (field) {
    event.preventDefault();
    field.focus();
  }
});
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault(); // the address names the page, not a place in it
  main.focus();
});
void show();

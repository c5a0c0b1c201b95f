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

async function enter(): Promise<void> {
  const token = new URLSearchParams(location.hash.replace(/^#/, "")).get("token");
  if (token) {
    history.replaceState(null, "", location.pathname); // no token stays in the address or the history
    await ask("session", { token });
  }
  about = await ask<About>("corpus");
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

function showError(error: unknown): void {
  const said = error instanceof Refused ? error.message : "Something went wrong in this page.";
  if (!(error instanceof Refused)) console.error(error);
  render(html`<p class="notice" role="alert">${said}</p>`, main);
}

async function show(): Promise<void> {
  leave();
  leave = () => {};
  try {
    if (!about) await enter();
    showHead();
    const place = readPlace(location.hash);
    const fresh = document.createElement("div");
    main.replaceChildren(fresh); // a page that still waits for an answer draws where nobody sees it
    if (place.page === "look") leave = await lookPage(fresh, place.uid, about as About);
    else if (place.page === "reports") leave = await reportsPage(fresh, place.cases);
    else if (place.page === "slide") leave = await (await import("./look/slide")).slidePage(fresh, place.uid);
    else if (place.page === "map") leave = await (await import("./look/map")).mapPage(fresh);
    else if (place.page === "dropped") leave = await droppedPage(fresh, place.reason, place.number);
    else if (place.page === "region") leave = await regionPage(fresh, place.uid);
    else if (place.page === "judge") leave = await judgePage(fresh);
    else leave = await findPage(fresh, place.search, about as About);
  } catch (error) {
    showError(error);
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

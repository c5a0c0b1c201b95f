/** Inputs that became no sample, by reason. Names of files are not told; `voxtile inspect` on the machine of the corpus has them. */

import { html, nothing, render } from "lit";
import { droppedAddress, lookAddress } from "../address";
import { ask, type Dropped } from "../api";

const A_PAGE = 100;

export async function droppedPage(root: HTMLElement, reason: string, page: number): Promise<() => void> {
  document.title = "Dropped – voxtile";
  const query = new URLSearchParams({ offset: String((page - 1) * A_PAGE) });
  if (reason) query.set("reason", reason);
  const found = await ask<Dropped>(`dropped?${query}`);
  const last = Math.max(1, Math.ceil(found.total / A_PAGE));
  const turn = (to: number, said: string) => (to >= 1 && to <= last ? html`<a href=${droppedAddress(reason, to)}>${said}</a>` : nothing);
  render(
    html`<h1>Dropped inputs</h1>
      <p class="soft">What conversion made of its inputs: ${found.used.toLocaleString("en")} used, perhaps with parts left out or notes on them. Names of files are not told here; voxtile inspect CORPUS has them.</p>
      ${found.reasons.length ? html`<section class="card rates"><h2>Why</h2><div class="scroll" tabindex="0" role="region" aria-label="Reasons"><table>
        <thead><tr><th scope="col">reason</th><th scope="col">became</th><th scope="col">error</th><th scope="col">inputs</th><th scope="col">parts of used ones</th></tr></thead>
        <tbody>${found.reasons.map((one) => html`<tr><th scope="row"><a href=${droppedAddress(one.reason, 1)}>${one.reason.replaceAll("-", " ")}</a></th>
          <td>${one.status}</td><td>${one.error_class ?? ""}</td><td>${one.inputs.toLocaleString("en")}</td><td>${one.parts.toLocaleString("en")}</td></tr>`)}</tbody></table></div></section>
      <section class="card rates"><h2>${reason ? reason.replaceAll("-", " ") : "All"} <small>${found.total.toLocaleString("en")}</small></h2>
        ${reason ? html`<p><a class="chip" href=${droppedAddress("", 1)}>all reasons</a></p>` : nothing}
        <div class="scroll" tabindex="0" role="region" aria-label="Inputs"><table>
        <thead><tr><th scope="col">row</th><th scope="col">of</th><th scope="col">became</th><th scope="col">reason</th><th scope="col">attempt</th><th scope="col">sample</th></tr></thead>
        <tbody>${found.inputs.map((one, n) => html`<tr><th scope="row">${((page - 1) * A_PAGE + n + 1).toLocaleString("en")}</th><td>${one.is_part ? "a part" : "an input"}</td><td>${one.status}</td>
          <td>${one.reason.replaceAll("-", " ")}${one.error_class ? html` <small>${one.error_class}</small>` : nothing}</td><td>${one.attempt}</td>
          <td>${one.uid ? (one.is_sample ? html`<a href=${lookAddress(one.uid)}>${one.uid.slice(0, 12)}…</a>` : `${one.uid.slice(0, 12)}…`) : ""}</td></tr>`)}</tbody></table></div>
        <nav class="pages" aria-label="Pages">${turn(page - 1, "← Previous")}<span>page ${page} of ${last}</span>${turn(page + 1, "Next →")}</nav></section>`
        : html`<p class="notice" role="status">Nothing was dropped.</p>`}`,
    root,
  );
  return () => {};
}

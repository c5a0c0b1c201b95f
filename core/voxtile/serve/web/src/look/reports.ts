/** Reports: figures of classes, and the cases behind them, the worst first. */

import { html, nothing, render } from "lit";
import { type CasesAddress, lookAddress, reportsAddress } from "../address";
import { ask, file, type Figure, type Listed, type ShownCases } from "../api";

const A_PAGE = 24;
const ORDERS: Record<string, string> = {
  "false-positives": "false positives, the most confident first",
  "false-negatives": "false negatives, the most confident first",
  disagreements: "where two models disagree most",
};
const TITLES: Record<string, string> = { auroc: "AUROC", average_precision: "average precision", balanced_accuracy: "balanced accuracy" };

export async function reportsPage(root: HTMLElement, wanted: CasesAddress | null): Promise<() => void> {
  document.title = "Reports – voxtile";
  const listed = await ask<Listed[]>("reports");
  if (!listed.length) {
    render(html`<h1>Reports</h1><p class="notice" role="status">No report was named; open one with: voxtile serve CORPUS --report FOLDER</p>`, root);
  } else if (wanted) await casesOf(root, listed, wanted);
  else render(html`<h1>Reports</h1>${listed.map(report)}`, root);
  return () => {};
}

function report(one: Listed) {
  const tasks = [...new Set(one.figures.map((figure) => figure.task))];
  return html`<section class="card rates"><h2>Report ${one.number + 1}</h2>
    ${one.has_page ? html`<p><a href=${`api/reports/${one.number}/page`}>The report's own page</a>, whose cases lead here</p>` : nothing}
    ${one.has_cases ? nothing : html`<p class="soft">It keeps no scores case by case: its tasks have no classes, or it is an old one.</p>`}
    ${tasks.map((task) => html`<h3>${task}</h3><div class="scroll" tabindex="0" role="region" aria-label=${task}><table>
      <thead><tr><th scope="col">class</th><th scope="col">model</th><th scope="col">figure</th><th scope="col">value</th><th scope="col">95 %</th><th scope="col">cases</th></tr></thead>
      <tbody>${one.figures.filter((figure) => figure.task === task).map((figure) => row(one, figure))}</tbody></table></div>`)}
  </section>`;
}

function row(one: Listed, figure: Figure) {
  const linked = one.has_cases && figure.class_name && figure.kind === "model" && one.models.includes(figure.model);
  const cases = (order: string) => reportsAddress({ report: one.number, task: figure.task, model: figure.model, name: figure.class_name!, order, other: "", page: 1 });
  return html`<tr><th scope="row">${figure.class_name ?? "all"}</th><td>${figure.kind === "model" ? figure.model : `${figure.model} (${figure.kind})`}</td>
    <td>${TITLES[figure.metric] ?? figure.metric}</td><td>${number(figure.value)}</td><td class="nowrap">${number(figure.low)} to ${number(figure.high)}</td>
    <td>${linked ? html`<a href=${cases("false-positives")}>false positives</a>, <a href=${cases("false-negatives")}>negatives</a>` : nothing}</td></tr>`;
}

function number(value: number | null): string {
  return value === null ? "–" : value.toFixed(3);
}

async function casesOf(root: HTMLElement, listed: Listed[], wanted: CasesAddress): Promise<void> {
  const { report: place, page, name, other, ...rest } = wanted;
  const query = new URLSearchParams({ ...rest, class: name, offset: String((page - 1) * A_PAGE), limit: String(A_PAGE) });
  if (other) query.set("other", other);
  const found = await ask<ShownCases>(`reports/${place}/cases?${query}`);
  const models = (listed[place]?.models ?? []).filter((one) => one !== wanted.model);
  const go = (changed: Partial<CasesAddress>) => (location.hash = reportsAddress({ ...wanted, page: 1, ...changed }));
  const last = Math.max(1, Math.ceil(found.total / A_PAGE));
  const turn = (to: number, said: string) => (to >= 1 && to <= last ? html`<a href=${reportsAddress({ ...wanted, page: to })}>${said}</a>` : nothing);
  render(
    html`<p><a href=${reportsAddress(null)}>← all figures</a></p><h1>${name}</h1>
      <p class="soft">${wanted.task} · ${wanted.model}</p>
      <div class="controls">
        <label>Cases <select @change=${(event: Event) => go({ order: (event.target as HTMLSelectElement).value, other: wanted.other || (models[0] ?? "") })}>
          ${Object.entries(ORDERS).filter(([order]) => models.length || order !== "disagreements").map(([order, said]) => html`<option value=${order} ?selected=${order === wanted.order}>${said}</option>`)}</select></label>
        ${models.length ? html`<label>Beside <select @change=${(event: Event) => go({ other: (event.target as HTMLSelectElement).value })}>
          <option value="">no other model</option>${models.map((one) => html`<option ?selected=${one === other}>${one}</option>`)}</select></label>` : nothing}
      </div>
      <p class="soft" role="status">${found.total.toLocaleString("en")} cases. The rank is the share of units that score lower.</p>
      <ul class="results">${found.cases.map((one) => html`<li class="card">${one.card
        ? html`<a class="picture" href=${lookAddress(one.uid)} aria-label=${`case ${one.uid.slice(0, 12)}`}><img src=${file(one.uid, "thumbnail")} alt="" loading="lazy" /></a>`
        : html`<span class="picture soft">not in this corpus</span>`}
        <div class="about"><b>${one.label ? "has it" : "has it not"}</b>
          <small>${wanted.model}: ${one.score.toPrecision(4)}, rank ${one.rank.toFixed(2)}</small>
          ${one.other_rank === null ? nothing : html`<small>${other}: ${one.other_score!.toPrecision(4)}, rank ${one.other_rank.toFixed(2)}</small>`}
          ${one.card?.text ? html`<p class="text">${one.card.text}</p>` : nothing}</div></li>`)}</ul>
      <nav class="pages" aria-label="Pages">${turn(page - 1, "← Previous")}<span>page ${page} of ${last}</span>${turn(page + 1, "Next →")}</nav>`,
    root,
  );
}

/** What the verdicts say: shares with intervals, and how readers agree. */

import { html, nothing } from "lit";

interface Line {
  name: string;
  share: number;
  low: number | null;
  high: number | null;
  judged: number;
  subjects: number;
  further: number | null;
}

export interface Rates {
  wrong: Line[];
  checker: Line[];
  agreements: { readers: [string, string]; both: number; kappa: number | null; differ: string[] }[];
}

export function ratesView(rates: Rates) {
  if (!rates.wrong.length) return nothing;
  return html`${table("Wrong captions", rates.wrong)}${rates.checker.length ? table("The checker against people", rates.checker) : nothing}
    ${rates.agreements.length ? agreements(rates) : nothing}`;
}

function table(heading: string, lines: Line[]) {
  return html`<section class="card rates"><h2>${heading} <small>share, 95 % interval by subject</small></h2>
    <div class="scroll" tabindex="0" role="region" aria-label=${heading}><table>
      <thead><tr><th scope="col">of</th><th scope="col">share</th><th scope="col">interval</th><th scope="col">judged</th><th scope="col">subjects</th><th scope="col">more for ±5 %</th></tr></thead>
      <tbody>${lines.map((line) => html`<tr><th scope="row">${line.name}</th><td>${percent(line.share)}</td>
        <td class="nowrap">${line.low === null || line.high === null ? "–" : `${percent(line.low)} to ${percent(line.high)}`}</td>
        <td>${line.judged}</td><td>${line.subjects}</td><td>${line.further ?? "–"}</td></tr>`)}</tbody>
    </table></div></section>`;
}

function agreements(rates: Rates) {
  return html`<section class="card rates"><h2>Readers</h2>${rates.agreements.map((one) => html`<p>${one.readers.join(" and ")}:
    ${one.both} captions, ${one.kappa === null ? "no κ (both said one thing alone)" : html`Cohen’s κ ${one.kappa.toFixed(2)}`}, ${one.differ.length} differ</p>`)}</section>`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** What the verdicts say: shares with intervals, and how readers agree. */

import { html, nothing } from "lit";
import { lookAddress } from "../address";

export type Kind = "caption" | "fact" | "region";

interface Line {
  kind: Kind;
  name: string;
  share: number;
  low: number | null;
  high: number | null;
  judged: number;
  subjects: number;
  further: number | null;
  cannot_tell: number;
}

export interface Difference {
  kind: Kind;
  uid: string;
  target: string;
  words: string;
  verdicts: [string, string];
  comments: [string | null, string | null];
}

export interface Rates {
  wrong: Line[];
  checker: Line[];
  agreements: { readers: [string, string]; both: number; kappa: number | null; differ: number; differences: Difference[] }[];
}

export const MANY: Record<Kind, string> = { caption: "captions", fact: "facts", region: "regions" };

export function ratesView(rates: Rates, points: number, wish: (points: number) => void, again: (one: Difference) => void) {
  if (!rates.wrong.length && !rates.agreements.length) return nothing;
  const kinds = (Object.keys(MANY) as Kind[]).filter((kind) => rates.wrong.some((line) => line.kind === kind));
  return html`${kinds.length ? wished(points, wish) : nothing}
    ${kinds.map((kind) => table(`Wrong ${MANY[kind]}`, rates.wrong.filter((line) => line.kind === kind), points))}
    ${rates.checker.length ? table("The checker against people", rates.checker, points) : nothing}
    ${rates.agreements.length ? agreements(rates, again) : nothing}`;
}

function wished(points: number, wish: (points: number) => void) {
  const change = (event: Event) => {
    const field = event.target as HTMLInputElement;
    if (field.checkValidity() && field.value) wish(Number(field.value));
  };
  return html`<p class="wished"><label>Wished width of the intervals, in points of percent
    <input type="number" name="width" min="0.1" max="100" step="any" .value=${String(points)} @change=${change} /></label></p>`;
}

function table(heading: string, lines: Line[], points: number) {
  return html`<section class="card rates"><h2>${heading} <small>share, 95 % interval by subject</small></h2>
    <div class="scroll" tabindex="0" role="region" aria-label=${heading}><table>
      <thead><tr><th scope="col">of</th><th scope="col">share</th><th scope="col">interval</th><th scope="col">judged</th><th scope="col">cannot tell</th><th scope="col">subjects</th><th scope="col">more for ${points} points</th></tr></thead>
      <tbody>${lines.map((line) => html`<tr><th scope="row">${line.name}</th><td class="nowrap">${percent(line.share)}</td>
        <td class="nowrap">${line.low === null || line.high === null ? "–" : `${percent(line.low)} to ${percent(line.high)}`}</td>
        <td>${line.judged}</td><td>${line.cannot_tell}</td><td>${line.subjects}</td><td>${line.further?.toLocaleString("en") ?? "–"}</td></tr>`)}</tbody>
    </table></div></section>`;
}

function agreements(rates: Rates, again: (one: Difference) => void) {
  return html`<section class="card rates"><h2>Readers</h2>${rates.agreements.map((one) => html`<p>${one.readers.join(" and ")}:
    ${one.both} judged by both, ${one.kappa === null ? "no κ (both said one thing alone)" : html`Cohen’s κ ${one.kappa.toFixed(2)}`}, ${one.differ} differ</p>
    ${one.differences.length ? differences(one.readers, one.differences, again) : nothing}`)}</section>`;
}

function differences(readers: [string, string], found: Difference[], again: (one: Difference) => void) {
  const heading = `Where ${readers.join(" and ")} differ`;
  return html`<div class="scroll listed" tabindex="0" role="region" aria-label=${heading}><table class="differences">
    <thead><tr><th scope="col">what</th><th scope="col">${readers[0]}</th><th scope="col">${readers[1]}</th><th scope="col">again</th></tr></thead>
    <tbody>${found.map((one) => html`<tr><th scope="row"><a href=${lookAddress(one.uid)}>${one.words}</a></th>
      ${one.verdicts.map((verdict, reader) => html`<td>${verdict}${one.comments[reader] ? html`<br /><small>${one.comments[reader]}</small>` : nothing}</td>`)}
      <td><button type="button" aria-label=${`Judge again: ${one.words.slice(0, 80)}`} @click=${() => again(one)}>Judge</button></td></tr>`)}</tbody>
  </table></div>`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

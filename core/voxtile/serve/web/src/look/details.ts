/** Texts, facts, regions and provenance of a sample. */

import { html, nothing } from "lit";
import { type Caption, type Fact, file, type Known, type Shown } from "../api";

export function captions(known: Known) {
  if (!known.captions.length) return nothing;
  return html`<section class="card"><h2>Texts</h2>${known.captions.map(caption)}</section>`;
}

function caption(one: Caption) {
  const origin = [one.kind === "raw" ? "report" : one.kind, one.origin, one.lang, one.of_study ? "of the study" : ""];
  return html`<article class="told">
    <small>${origin.filter(Boolean).join(" · ")}</small>
    <p>${one.pieces.map((piece) =>
      piece.polarity ? html`<mark class=${piece.polarity} title=${piece.concepts}>${piece.text}</mark>` : piece.text)}</p>
    ${one.verdicts.map((verdict) => html`<p class="verdict ${verdict.verdict}"><b>${verdict.verdict}</b>
      ${verdict.detail ?? ""} <small>${[verdict.checker, verdict.version].filter(Boolean).join(" ")}</small></p>`)}
  </article>`;
}

export function facts(known: Known) {
  if (!known.facts.length) return nothing;
  const phrases = new Map(known.regions.map((region) => [region.region_id, region.phrase]));
  return html`<section class="card"><h2>Facts</h2><div class="scroll" tabindex="0" role="region" aria-label="Facts"><table>
    <thead><tr><th scope="col">what</th><th scope="col">is</th><th scope="col">value</th><th scope="col">of</th><th scope="col">who says so</th></tr></thead>
    <tbody>${known.facts.map((fact) => factRow(fact, phrases.get(fact.region_id ?? "") ?? ""))}</tbody>
  </table></div></section>`;
}

function factRow(fact: Fact, region: string) {
  const value = fact.value === null ? "" : `${Number(fact.value.toPrecision(5))} ${fact.unit ?? ""}`;
  return html`<tr><td>${fact.concept.replaceAll("_", " ")}${fact.details ? html`<br /><small>${fact.details}</small>` : nothing}</td>
    <td><span class="fact ${fact.polarity}">${fact.polarity}</span></td><td class="nowrap">${value}</td><td>${region}</td><td><small>${fact.source ?? ""}</small></td></tr>`;
}

/** Names of the formats in which masks are saved. */
export const FORMS: Record<string, string> = { "dicom-seg": "DICOM SEG", nifti: "NIfTI", geojson: "GeoJSON", geopackage: "GeoPackage" };

export function regions(known: Known, shown: Shown) {
  if (!known.regions.length) return nothing;
  const saved = known.regions.some((region) => region.has_mask) ? shown.forms : [];
  return html`<section class="card"><h2>Regions</h2><ul class="regions">${known.regions.map((region) => html`<li>
    <svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="3" fill=${region.colour} /></svg>
    ${region.phrase} <small>${[region.has_mask ? "mask" : "", region.box ? "box" : ""].filter(Boolean).join(", ")}</small></li>`)}</ul>
    ${saved.length ? html`<p>Save the masks as ${saved.map((form, n) => html`${n ? ", " : ""}<a href=${file(known.uid, "regions/saved", { to: form })} download>${FORMS[form]}</a>`)}</p>` : nothing}</section>`;
}

export function provenance(known: Known) {
  const rows = [
    ...Object.entries(known.sample).filter(([name]) => name !== "attributes"),
    ...Object.entries((known.sample.attributes as Record<string, unknown>) ?? {}),
    ...known.scopes.map((scope) => ["looked for", `${scope.vocabulary}, ${scope.closed ? "what is not mentioned is absent" : "what is not mentioned is unknown"}`]),
    ...known.ledger.map((row) => ["conversion", [row.status, row.reason].filter(Boolean).join(": ")]),
  ] as [string, unknown][];
  return html`<section class="card"><h2>Where it comes from</h2><div class="scroll" tabindex="0" role="region" aria-label="Where it comes from"><table>
    <tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name.replaceAll("_", " ")}</th><td>${written(value)}</td></tr>`)}</tbody>
  </table></div></section>`;
}

function written(value: unknown): string {
  if (typeof value === "number") return String(Number(value.toPrecision(7)));
  if (Array.isArray(value) && value.every((one) => typeof one !== "object" || one === null)) return value.map(written).join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

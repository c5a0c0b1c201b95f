/** One caption, fact or region with its image, its claims, and the keys that judge it. */

import { html, nothing } from "lit";
import { keyed } from "lit/directives/keyed.js";
import { lookAddress } from "../address";
import { file } from "../api";
import { type Kind } from "./rates";

export interface Item {
  kind: Kind;
  target: string;
  uid: string;
  origin: string;
  words: string;
  claims: string[];
  region_id: string | null;
  /** Its picture is of planes as radiologists hang them. */
  hangs: boolean;
}

export const VERDICTS = [
  { key: "r", verdict: "right", said: "Right" },
  { key: "w", verdict: "wrong", said: "Wrong" },
  { key: "c", verdict: "cannot tell", said: "Cannot tell" },
];

export interface Shown {
  item: Item;
  judged: number;
  busy: boolean;
  /** Its picture is there, or cannot be had. */
  seen: boolean;
  /** Place of the claim that the keys judge; -1 for the whole. */
  chosen: number;
  /** Verdicts that were given on claims. */
  claims: Map<string, string>;
}

export function itemView(shown: Shown, give: (verdict: string) => void, choose: (place: number) => void, see: (event: Event) => void) {
  const { item } = shown;
  const address = picture(item);
  return html`<section class="card judged" aria-label=${`This ${item.kind}`}>
    <div><a href=${lookAddress(item.uid)} aria-label="look at the sample">${keyed(address, html`<img src=${address} alt=${item.region_id === null ? "the sample" : "the region in its sample"} @load=${see} @error=${see} />`)}</a>
      ${item.hangs ? html`<small>The patient’s right is at the left${item.region_id === null ? "; of the sagittal plane, the front" : nothing}.</small>` : nothing}</div>
    <div>
      <small>${[item.kind, item.origin].filter((one) => one !== "–").join(" · ")} · ${shown.judged.toLocaleString("en")} judged by you</small>
      <p class="caption" aria-live="polite">${item.words}</p>
      ${item.claims.length ? claimsView(shown, choose) : nothing}
      <p class="controls">${VERDICTS.map((one) => html`<button type="button" ?disabled=${shown.busy || !shown.seen} @click=${() => give(one.verdict)}>${one.said} <kbd>${one.key}</kbd></button>`)}
        <span class="soft">${shown.chosen < 0 ? `the whole ${item.kind}` : `claim ${shown.chosen + 1}`}</span></p>
      <label class="comment"><span>Comment <kbd>m</kbd></span> <input name="comment" maxlength="2000" autocomplete="off" /></label>
    </div>
  </section>`;
}

function claimsView(shown: Shown, choose: (place: number) => void) {
  return html`<ol class="claims" aria-label="Claims">${shown.item.claims.map((claim, place) => {
    const said = shown.claims.get(claim);
    return html`<li><button type="button" class="claim" aria-pressed=${place === shown.chosen} @click=${() => choose(place === shown.chosen ? -1 : place)}>
      ${place < 9 ? html`<kbd>${place + 1}</kbd>` : nothing} ${claim} ${said ? html`<b>${said}</b>` : nothing}</button></li>`;
  })}</ol>`;
}

/** Where its picture is. */
export function picture(item: Item): string {
  if (item.region_id === null) return file(item.uid, "thumbnail");
  return `api/judge/region?${new URLSearchParams({ uid: item.uid, region_id: item.region_id })}`;
}

/** What is like a sample: near-duplicates and neighbours, as strips of pictures. */

import { html, nothing, render } from "lit";
import { findAddress, lookAddress, regionAddress } from "../address";
import { type About, type Alike, ask, type Card, file, Refused } from "../api";

/** Links of a sample's page to searches by it. */
export function likenessLinks(uid: string, about: About) {
  if (!about.model) return nothing;
  return html`· <a href=${findAddress({ like: uid })}>similar samples</a> · <a href=${regionAddress(uid)}>similar to a part</a>`;
}

/** Ask for what is like a sample, and show it in a place of its page when it is there. */
export async function showAlike(place: HTMLElement, uid: string): Promise<void> {
  try {
    const alike = await ask<Alike>(`samples/${encodeURIComponent(uid)}/alike`);
    render(html`${duplicates(alike)}${strip("Neighbours", alike.neighbours, (card) => `cosine ${card.cosine?.toFixed(3)}`)}`, place);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    render(nothing, place); // the sample's page stands without it
  }
}

function duplicates(alike: Alike) {
  if (!alike.compared_by.length) return nothing;
  const by = alike.compared_by.join(" and ");
  if (!alike.duplicates.length) return html`<section class="card"><h2>Near-duplicates</h2><p class="soft">None, compared by ${by}.</p></section>`;
  const said = new Map(alike.duplicates.map((one) => [one.card.uid, how(one)]));
  return strip("Near-duplicates", alike.duplicates.map((one) => one.card), (card) => said.get(card.uid) ?? "");
}

function how(one: Alike["duplicates"][number]): string {
  const bits = one.differing_bits === null ? "" : `picture: ${one.differing_bits} of 63 bits differ`;
  const cosine = one.cosine === null ? "" : `cosine ${one.cosine.toFixed(3)}`;
  return [bits, cosine].filter(Boolean).join(", ");
}

function strip(heading: string, cards: Card[], said: (card: Card) => string) {
  if (!cards.length) return nothing;
  return html`<section class="card"><h2>${heading} <small>${cards.length}</small></h2>
    <p class="strip">${cards.map((card) => html`<a href=${lookAddress(card.uid)} title=${said(card)}>
      <img src=${file(card.uid, "thumbnail")} alt=${`sample ${card.number + 1}, ${said(card)}`} loading="lazy" /></a>`)}</p></section>`;
}

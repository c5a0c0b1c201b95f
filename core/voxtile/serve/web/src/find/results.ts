/** Samples as pictures with what is known of them in a line or two. */

import { html, nothing } from "lit";
import { lookAddress } from "../address";
import { type Card, file } from "../api";

const MOST_FACTS = 6;

export function results(cards: Card[]) {
  return html`<ul class="results">
    ${cards.map((card) => html`<li class="card">${one(card)}</li>`)}
  </ul>`;
}

function one(card: Card) {
  const title = [card.modality, card.kind].filter(Boolean).join(" · ");
  const facts = [...card.present.map((name) => ["present", name]), ...card.uncertain.map((name) => ["uncertain", name])];
  return html`<a class="picture" href=${lookAddress(card.uid)} aria-label=${`${title}, sample ${card.number + 1}`}>
      <img src=${file(card.uid, "thumbnail")} alt="" loading="lazy" @error=${withoutPicture} />
    </a>
    <div class="about">
      <b>${title}</b>
      <small>${card.shape.join(" × ")}${card.cosine === null ? nothing : html` · cosine ${card.cosine.toFixed(3)}`}</small>
      <p>${facts.slice(0, MOST_FACTS).map(([polarity, name]) => html`<span class="fact ${polarity}">${name?.replaceAll("_", " ")}</span> `)}</p>
      ${card.text ? html`<p class="text">${card.text}</p>` : nothing}
    </div>`;
}

function withoutPicture(event: Event): void {
  const picture = event.target as HTMLImageElement;
  picture.replaceWith(Object.assign(document.createElement("span"), { className: "soft", textContent: "no picture" }));
}

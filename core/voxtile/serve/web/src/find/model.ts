/** What searches by words and likeness go by: how many samples have a vector, what is being made, and how exact it is. */

import { html, nothing } from "lit";
import { type About, ask, type Model } from "../api";

const LOOKED_MS = 5000;

export function modelState(about: About) {
  const model = about.model;
  if (!model) return nothing;
  const lines = [vectors(about, model), making(model), nearest(model)].filter((line) => line !== nothing);
  return lines.length ? html`<div class="soft model" role="status">${lines.map((line) => html`<p>${line}</p>`)}</div>` : nothing;
}

/** Look how far things are for as long as something is being made. */
export function followModel(about: About, draw: () => void): () => void {
  const look = async () => {
    const fresh = await ask<About>("corpus").catch(() => null);
    if (!fresh) return;
    Object.assign(about, fresh);
    draw();
    if (!isMaking(about)) clearInterval(timer);
  };
  const timer = isMaking(about) ? setInterval(() => void look(), LOOKED_MS) : undefined;
  return () => clearInterval(timer);
}

function isMaking(about: About): boolean {
  return !!about.model?.making && !about.model.making.problem;
}

function vectors(about: About, model: Model) {
  if (model.searched >= about.samples) return nothing;
  if (!model.searched) return html`No sample has a vector of the model yet: nothing is found by words or likeness.`;
  return html`${whole(model.searched)} of ${whole(about.samples)} samples have a vector of the model; the others are not found by words or likeness.`;
}

function making(model: Model) {
  const made = model.making;
  if (!made) return nothing;
  if (made.problem) return html`${made.problem}`;
  return html`<label>Making ${made.what}: ${whole(made.done)} of ${whole(made.total)}
    <progress max=${made.total} value=${made.done}></progress></label>`;
}

function nearest(model: Model) {
  if (!model.recall) return nothing;
  const { images, words, looked_at } = model.recall;
  const found = `${share(images)} of the ten nearest${words === null ? "" : `, by words ${share(words)}`}`;
  return model.approximate
    ? html`Search is approximate: measured when it was prepared, it finds ${found}.`
    : html`Search is exact: an approximate one would find ${found}, looking at ${whole(looked_at)} samples.`;
}

const whole = (count: number) => count.toLocaleString("en");
const share = (of: number) => `${(100 * of).toFixed(1)} %`;

/** Judge: one caption after the other with its image, by keys, and what the verdicts say. */

import { html, nothing, render } from "lit";
import { lookAddress } from "../address";
import { ask, file, Refused } from "../api";
import { type Rates, ratesView } from "./rates";

interface Waiting {
  caption_id: string;
  uid: string;
  kind: string;
  origin: string;
  text: string;
}

const VERDICTS = [
  { key: "r", verdict: "right", said: "Right" },
  { key: "w", verdict: "wrong", said: "Wrong" },
  { key: "c", verdict: "cannot tell", said: "Cannot tell" },
];
const ORDERS = { random: "at random", stratified: "in turn from each kind", objected: "those the checker objects to" };
const READER = "voxtile-reader";

export async function judgePage(root: HTMLElement): Promise<() => void> {
  document.title = "Judge – voxtile";
  const state = {
    reader: localStorage.getItem(READER) ?? "", drawn: "random", caption: null as Waiting | null,
    judged: 0, said: "", busy: false, rates: await ask<Rates>("judge/rates"), pending: null as { caption: string; id: string } | null,
  };

  const next = async () => {
    if (!state.reader) return;
    const query = new URLSearchParams({ reader: state.reader, drawn: state.drawn });
    const [found, rates] = await Promise.all([
      ask<{ caption: Waiting | null; judged: number }>(`judge/next?${query}`),
      ask<Rates>("judge/rates"),
    ]);
    Object.assign(state, { caption: found.caption, judged: found.judged, rates, said: found.caption ? "" : "All of these captions are judged." });
    const comment = root.querySelector<HTMLInputElement>("input[name=comment]");
    if (comment) comment.value = "";
  };

  const guarded = async (action: () => Promise<void>) => {
    state.busy = true;
    draw();
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      state.said = error.message;
    } finally {
      state.busy = false;
      draw();
    }
  };

  const give = (verdict: string) =>
    guarded(async () => {
      const { caption } = state;
      if (!caption) return;
      // A verdict that is sent again after no answer came has the same name, and is stored once.
      if (state.pending?.caption !== caption.caption_id) state.pending = { caption: caption.caption_id, id: name() };
      const comment = root.querySelector<HTMLInputElement>("input[name=comment]")?.value.trim() || null;
      await ask("judge/verdicts", { review_id: state.pending.id, caption_id: caption.caption_id, verdict, comment, reader: state.reader, drawn: state.drawn });
      await next();
    });

  const begin = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.target as HTMLFormElement);
    state.reader = String(given.get("reader") ?? "").trim();
    state.drawn = String(given.get("drawn") ?? "random");
    localStorage.setItem(READER, state.reader);
    void guarded(next);
  };

  const draw = () =>
    render(
      html`<h1>Judge captions</h1>
        <form class="search" @submit=${begin}>
          <label>Reader <input name="reader" required maxlength="80" .value=${state.reader} autocomplete="off" /></label>
          <label class="wide">Captions <select name="drawn">${Object.entries(ORDERS).map(([value, said]) => html`<option value=${value} ?selected=${value === state.drawn}>${said}</option>`)}</select></label>
          <button type="submit">${state.caption ? "Change" : "Begin"}</button>
        </form>
        ${state.said ? html`<p class="notice" role="status">${state.said}</p>` : nothing}
        ${state.caption ? one(state.caption) : nothing}
        ${ratesView(state.rates)}`,
      root,
    );

  const one = (caption: Waiting) => html`<section class="card judged">
    <a href=${lookAddress(caption.uid)} aria-label="look at the sample"><img src=${file(caption.uid, "thumbnail")} alt="the sample" /></a>
    <div>
      <small>${[caption.kind, caption.origin].filter(Boolean).join(" · ")} · ${state.judged.toLocaleString("en")} judged by you</small>
      <p class="caption" aria-live="polite">${caption.text}</p>
      <p class="controls">${VERDICTS.map((one) => html`<button type="button" ?disabled=${state.busy} @click=${() => give(one.verdict)}>${one.said} <kbd>${one.key}</kbd></button>`)}</p>
      <label class="comment">Comment <input name="comment" maxlength="2000" autocomplete="off" /></label>
    </div>
  </section>`;

  const pressed = (event: KeyboardEvent) => {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    if (event.ctrlKey || event.metaKey || event.altKey || state.busy) return;
    const found = VERDICTS.find((one) => one.key === event.key);
    if (found) void give(found.verdict);
  };
  document.addEventListener("keydown", pressed);
  draw();
  if (state.reader) await guarded(next);
  return () => document.removeEventListener("keydown", pressed);
}

/** 128 random bits, in hexadecimal; crypto.randomUUID is missing where the address is not this machine's. */
function name(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

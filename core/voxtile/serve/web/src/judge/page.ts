/** Judge: one caption, fact or region after the other, by keys, and what the verdicts say. */

import { html, nothing, render } from "lit";
import { lookAddress } from "../address";
import { ask, Refused } from "../api";
import { type Item, itemView, picture, VERDICTS } from "./item";
import { type Difference, type Kind, MANY, type Rates, ratesView } from "./rates";

const ORDERS: Record<string, string> = {
  random: "at random",
  stratified: "in turn from each origin",
  "by fact": "in turn from each concept",
  objected: "those the checker objects to",
  disagreed: "where model and checker disagree",
};
const OF_CAPTIONS = new Set(["objected", "disagreed"]);
const READER = "voxtile-reader";

export async function judgePage(root: HTMLElement): Promise<() => void> {
  document.title = "Judge – voxtile";
  const state = {
    reader: localStorage.getItem(READER) ?? "", kind: "caption" as Kind, drawn: "random", item: null as Item | null, chosen: -1,
    claims: new Map<string, string>(), judged: 0, said: "", busy: false, seen: false, points: 10, names: new Map<string, string>(),
    rates: { wrong: [], checker: [], agreements: [] } as Rates,
  };
  const comment = () => root.querySelector<HTMLInputElement>("input[name=comment]");

  const show = (item: Item | null) => {
    const seen = state.seen && item !== null && state.item !== null && picture(item) === picture(state.item);
    Object.assign(state, { item, seen, chosen: -1, claims: new Map(), said: item ? "" : `All of these ${MANY[state.kind]} are judged.` });
    const field = comment();
    if (field) field.value = "";
  };

  const count = async () => {
    state.rates = await ask<Rates>(`judge/rates?width=${state.points / 100}`);
  };

  const next = async () => {
    if (!state.reader) return;
    const query = new URLSearchParams({ reader: state.reader, kind: state.kind, drawn: state.drawn });
    const [found] = await Promise.all([ask<{ item: Item | null; judged: number }>(`judge/next?${query}`), count()]);
    state.judged = found.judged;
    show(found.item);
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
      const { item, chosen, reader, drawn } = state;
      if (!item) return;
      const claim = item.claims[chosen] ?? null;
      // A verdict that is sent again after no answer came has the same name, and is stored once.
      const place = JSON.stringify([item.kind, item.uid, item.target, claim, verdict]);
      const review_id = state.names.get(place) ?? name();
      state.names.set(place, review_id);
      const { kind, uid, target } = item;
      let replaced: string | null;
      try {
        ({ replaced } = await ask<{ replaced: string | null }>("judge/verdicts", { review_id, kind, uid, target, verdict, claim, comment: comment()?.value.trim() || null, reader, drawn }));
      } catch (error) {
        if (error instanceof Refused && error.status === 404) await next(); // it has left the corpus meanwhile
        throw error;
      }
      state.names.delete(place);
      const told = replaced === null ? "" : `${reader} had said “${replaced}” there before; “${verdict}” counts now. Does somebody else judge under this name?`;
      if (claim === null) {
        await next();
        state.said = told || state.said;
        return;
      }
      state.claims.set(claim, verdict);
      state.said = told;
      state.chosen = chosen + 1 < item.claims.length ? chosen + 1 : -1;
      const field = comment();
      if (field) field.value = "";
    });

  const again = (one: Difference) =>
    guarded(async () => {
      const query = new URLSearchParams({ kind: one.kind, uid: one.uid, target: one.target });
      show(await ask<Item>(`judge/item?${query}`));
      window.scrollTo(0, 0);
    });

  const begin = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.target as HTMLFormElement);
    state.reader = String(given.get("reader") ?? "").trim();
    state.kind = String(given.get("kind") ?? "caption") as Kind;
    state.drawn = String(given.get("drawn") ?? "random");
    if (OF_CAPTIONS.has(state.drawn) && state.kind !== "caption") state.drawn = "random";
    localStorage.setItem(READER, state.reader);
    Object.assign(state, { item: null, seen: false });
    (document.activeElement as HTMLElement | null)?.blur(); // the keys judge from now on
    void guarded(next);
  };

  const choose = (place: number) => {
    state.chosen = place;
    draw();
  };

  const see = (event: Event) => {
    if (!(event.target as HTMLElement).isConnected) return; // of the one before
    state.seen = true;
    if (event.type === "error") state.said = "The picture cannot be shown; say that you cannot tell, or open the sample.";
    draw();
  };

  const wish = (points: number) => {
    state.points = points;
    void guarded(count);
  };

  const draw = () =>
    render(
      html`<h1>Judge</h1>
        <form class="search" @submit=${begin}>
          <label>Reader <input name="reader" required maxlength="80" .value=${state.reader} autocomplete="off" /></label>
          <label>What <select name="kind" @change=${draw}>${Object.entries(MANY).map(([value, said]) => html`<option value=${value} ?selected=${value === state.kind}>${said}</option>`)}</select></label>
          <label class="wide">Which <select name="drawn">${Object.entries(ORDERS).map(([value, said]) => html`<option value=${value} ?selected=${value === state.drawn} ?disabled=${OF_CAPTIONS.has(value) && chosenKind() !== "caption"}>${said}</option>`)}</select></label>
          <button type="submit">${state.item ? "Change" : "Begin"}</button>
        </form>
        ${state.said ? html`<p class="notice" role="status">${state.said}</p>` : nothing}
        ${state.item ? itemView({ ...state, item: state.item }, give, choose, see) : nothing}
        ${state.item ? html`<p class="soft">Keys: <kbd>r</kbd> right, <kbd>w</kbd> wrong, <kbd>c</kbd> cannot tell; <kbd>1</kbd> to <kbd>9</kbd> a claim, <kbd>0</kbd> the whole; <kbd>m</kbd> comment, <kbd>Esc</kbd> out of it; <kbd>o</kbd> open the sample.</p>` : nothing}
        ${ratesView(state.rates, state.points, wish, again)}`,
      root,
    );

  const chosenKind = () => root.querySelector<HTMLSelectElement>("select[name=kind]")?.value ?? state.kind;

  const pressed = (event: KeyboardEvent) => {
    if (event.key === "Escape") (document.activeElement as HTMLElement | null)?.blur();
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || state.busy || !state.item) return;
    const found = VERDICTS.find((one) => one.key === event.key.toLowerCase());
    if (found && state.seen) void give(found.verdict);
    else if (found) return;
    else if (event.key === "0" || event.key === "Escape") choose(-1);
    else if (/^[1-9]$/.test(event.key) && Number(event.key) <= state.item.claims.length) choose(Number(event.key) - 1);
    else if (event.key === "o") location.hash = lookAddress(state.item.uid);
    else if (event.key === "m") {
      event.preventDefault();
      comment()?.focus();
    }
  };
  document.addEventListener("keydown", pressed);
  draw();
  await guarded(state.reader ? next : count);
  return () => document.removeEventListener("keydown", pressed);
}

/** 128 random bits, in hexadecimal; crypto.randomUUID is missing where the address is not this machine's. */
function name(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

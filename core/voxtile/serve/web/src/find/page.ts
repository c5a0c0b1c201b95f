/** Find: a form, and a page of the samples that meet it. */

import { html, nothing, render } from "lit";
import { findAddress, type Search } from "../address";
import { type About, ask, type Page, Refused } from "../api";
import { imageField } from "./image";
import { followModel, modelState } from "./model";
import { results } from "./results";

const A_PAGE = 24;
const POLARITIES = ["present", "absent", "uncertain"];

export async function findPage(root: HTMLElement, search: Search, about: About): Promise<() => void> {
  document.title = search.words ? `${search.words} – voxtile` : "voxtile";
  const shown: { page: Page | null; problem: string } = { page: null, problem: "" };
  const draw = () =>
    render(html`${form(search, about, said)}${modelState(about)}${notice(shown.problem)}${outcome(shown.page, shown.problem, search)}`, root);
  const said = (problem: string) => {
    shown.problem = problem;
    draw();
  };
  draw();
  try {
    const { page, plane, ...question } = search;
    const [name, at] = plane.split(":");
    const on = name ? { plane: name, plane_at: Number(at) } : {};
    shown.page = await ask<Page>("search", { ...question, ...on, offset: (page - 1) * A_PAGE, limit: A_PAGE });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    shown.problem = error.message;
  }
  draw();
  return followModel(about, draw);
}

function form(search: Search, about: About, said: (problem: string) => void) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.target as HTMLFormElement);
    const field = (name: string) => String(given.get(name) ?? "").trim();
    const concept = field("concept");
    const facts = concept ? [...search.facts, { concept, polarity: field("polarity") || "present" }] : search.facts;
    const likeness = field("words") ? {} : { like: search.like, box: search.box, plane: search.plane, image: search.image };
    const wanted = findAddress({ words: field("words"), where: field("where"), ...likeness, facts });
    if (wanted !== location.hash) location.hash = wanted;
    else window.dispatchEvent(new HashChangeEvent("hashchange")); // the corpus may have changed
  };
  return html`<form role="search" class="search" @submit=${submit}>
    ${about.model
      ? html`<label class="wide">Words <input name="words" type="search" .value=${search.words} placeholder="what the image shows" /></label>`
      : nothing}
    <label>Fact
      <input name="concept" list="concepts" placeholder=${about.concepts[0]?.concept ?? "none are stated"} autocomplete="off" />
    </label>
    <datalist id="concepts">${about.concepts.map((one) => html`<option value=${one.concept}>${one.present} present</option>`)}</datalist>
    <label>is
      <select name="polarity">${POLARITIES.map((one) => html`<option>${one}</option>`)}</select>
    </label>
    <label class="wide">SQL condition
      <input name="where" .value=${search.where} placeholder="modality = 'CT'" spellcheck="false" autocomplete="off" />
    </label>
    <button type="submit">Find</button>
    ${about.model ? imageField(search, about.model, said) : nothing}
    ${chosen(search)}
  </form>`;
}

/** What is asked for beside the fields, each with a link that takes it away. */
function chosen(search: Search) {
  const facts = search.facts.map((fact, place) => ({
    said: `${fact.concept.replaceAll("_", " ")} ${fact.polarity}`,
    without: { ...search, page: 1, facts: search.facts.filter((_, other) => other !== place) },
  }));
  const alone = { ...search, page: 1, like: "", box: [], plane: "", image: "" };
  const like = search.image ? "like an image" : search.box.length ? "like a part of" : "like";
  const likeness = search.like || search.image ? [{ said: `${like} ${search.like.slice(0, 12)}${search.like ? "…" : ""}`.trim(), without: alone }] : [];
  const all = [...likeness, ...facts];
  if (!all.length) return nothing;
  return html`<p class="chosen">
    ${all.map((one) => html`<a class="chip" href=${findAddress(one.without)} aria-label=${`without: ${one.said}`}>${one.said} ×</a>`)}
  </p>`;
}

function notice(problem: string) {
  return problem ? html`<p class="notice" role="alert">${problem}</p>` : nothing;
}

function outcome(page: Page | null, problem: string, search: Search) {
  if (!page) return problem ? nothing : html`<p class="soft" role="status">Searching…</p>`;
  if (!page.total) return html`<p class="notice" role="status">No sample meets this.</p>`;
  const last = Math.ceil(page.total / A_PAGE);
  const ranked = search.words || search.like || search.image;
  const count = ranked && page.total < page.matching
    ? `the ${page.total.toLocaleString("en")} nearest of ${page.matching.toLocaleString("en")} samples`
    : `${page.total.toLocaleString("en")} ${page.total === 1 ? "sample" : "samples"}`;
  const turn = (to: number, said: string) =>
    to >= 1 && to <= last ? html`<a href=${findAddress({ ...search, page: to })}>${said}</a>` : nothing;
  return html`<p class="soft" role="status">${count}, ${page.milliseconds.toLocaleString("en")} ms${page.exact === false ? ", approximate" : ""}</p>
    ${results(page.samples)}
    <nav class="pages" aria-label="Pages">
      ${turn(search.page - 1, "← Previous")}
      <span>page ${search.page.toLocaleString("en")} of ${last.toLocaleString("en")}</span>
      ${turn(search.page + 1, "Next →")}
    </nav>`;
}

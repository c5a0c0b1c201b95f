/** Look: one sample with everything that is known of it. */

import { html, nothing, render } from "lit";
import { lookAddress } from "../address";
import { type About, type Assistant, ask, file, type Known, type Shown, type ShownBy } from "../api";
import { likenessLinks, showAlike } from "../find/alike";
import { chatPanel } from "./chat";
import { classesPanel } from "./classes";
import { captions, facts, provenance, regions } from "./details";
import { phrasePanel } from "./phrase";
import type { Viewer } from "./viewer";

export async function lookPage(root: HTMLElement, uid: string, about: About): Promise<() => void> {
  const path = `samples/${encodeURIComponent(uid)}`;
  const [known, shown, model, assistant] = await Promise.all([
    ask<Known>(path), ask<Shown>(`${path}/shown`), ask<ShownBy | null>("model"), ask<Assistant | null>("assistant"),
  ]);
  const title = [known.sample.modality, known.sample.kind].filter(Boolean).join(" · ");
  document.title = `${title} – voxtile`;
  render(
    html`<h1>${title}</h1>
      <p class="soft">
        sample ${(known.number + 1).toLocaleString("en")} · <code>${known.uid}</code>${known.split ? html` · split ${known.split}` : nothing}
        ${likenessLinks(uid, about)}
      </p>
      <div class="look">
        <section class="card view" aria-label="Image"><div id="viewer"></div></section>
        <div>${assistant ? html`<section class="card" id="chat"></section>` : nothing}${model?.methods.length ? html`<section class="card" id="phrase"></section>` : nothing}${model ? html`<section class="card" id="classes"></section>` : nothing}${captions(known)}${facts(known)}${regions(known, shown)}${others("Same study", known.study)}${others("Same subject", known.subject)}<div id="alike"></div>${provenance(known)}</div>
      </div>`,
    root,
  );
  void showAlike(root.querySelector("#alike") as HTMLElement, uid);
  const place = root.querySelector("#viewer") as HTMLElement;
  const viewer = await openViewer(place, known, shown);
  const panel = (name: string) => root.querySelector<HTMLElement>(`#${name}`);
  if (model && panel("phrase")) phrasePanel(panel("phrase")!, known, viewer, model);
  if (model && panel("classes")) classesPanel(panel("classes")!, known);
  const leave = assistant && panel("chat") ? chatPanel(panel("chat")!, known, assistant) : () => {};
  return () => {
    leave();
    viewer.close();
  };
}

async function openViewer(place: HTMLElement, known: Known, shown: Shown): Promise<Viewer> {
  if (shown.stacks.length) return (await import("./volume")).showVolume(place, known, shown);
  if (shown.bands.length || known.sample.crs) return (await import("./scene")).showScene(place, known, shown);
  return (await import("./patch")).showPatch(place, known, shown);
}

function others(heading: string, uids: string[]) {
  if (!uids.length) return nothing;
  return html`<section class="card"><h2>${heading} <small>${uids.length}</small></h2>
    <p class="strip">
      ${uids.map((uid, n) => html`<a href=${lookAddress(uid)}><img src=${file(uid, "thumbnail")} alt=${`sample ${n + 1} of: ${heading.toLowerCase()}`} loading="lazy" /></a>`)}
    </p></section>`;
}

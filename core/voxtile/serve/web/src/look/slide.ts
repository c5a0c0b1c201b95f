/** A whole slide: Deep Zoom from its file, or from the patches laid in their places, with outlines over it. */

import { html, nothing, render } from "lit";
import OpenSeadragon from "openseadragon";
import { lookAddress } from "../address";
import { type About, ask, type Outlined, type Zoomed } from "../api";
import { withoutInjectedStyle } from "./patch";
import { slidePhrase } from "./slide_phrase";
import { tiles } from "./tiles";
import { sayWhy } from "./viewer";

export async function slidePage(root: HTMLElement, uid: string): Promise<() => void> {
  document.title = "Slide – voxtile";
  const path = `samples/${encodeURIComponent(uid)}`;
  const [slide, outlined, about] = await Promise.all([ask<Zoomed>(`${path}/slide.json`), ask<Outlined[]>(`${path}/slide/outlines`), ask<About>("corpus")]);
  let viewer: OpenSeadragon.Viewer;
  const marks: Record<string, HTMLElement[]> = { patches: [], regions: [] };
  const toggle = (name: string) => (event: Event) => marks[name]!.forEach((one) => (one.hidden = !(event.target as HTMLInputElement).checked));
  const zoom = (by: number) => () => viewer.viewport.zoomBy(by).applyConstraints();
  const regions = outlined.filter((one) => one.phrase !== null);
  const legend = new Map(regions.map((one) => [one.phrase, one.colour]));
  render(
    html`<p><a href=${lookAddress(uid)}>← the patch</a></p><h1>Slide</h1>
      <p class="soft">${slide.width.toLocaleString("en")} × ${slide.height.toLocaleString("en")} pixels, ${slide.patches.toLocaleString("en")} patches in the corpus</p>
      ${slide.note ? html`<p class="notice" role="status">${slide.note}</p>` : nothing}
      ${about.model ? html`<section class="card" id="phrase"></section>` : nothing}
      <section class="card view slide" aria-label="Slide"><div class="controls">
        <button type="button" @click=${zoom(1.5)}>Closer</button><button type="button" @click=${zoom(1 / 1.5)}>Further</button>
        <button type="button" @click=${() => viewer.viewport.goHome()}>Whole</button>
        <button type="button" @click=${() => viewer.viewport.fitBounds(own())}>This patch</button>
        <label><input type="checkbox" @change=${toggle("patches")} /> patches</label>
        ${regions.length ? html`<label><input type="checkbox" checked @change=${toggle("regions")} /> regions</label>` : nothing}</div>
        <div class="canvas" role="group" aria-label="The slide; plus, minus and arrow keys move it"></div>
        ${legend.size ? html`<ul class="regions">${[...legend].map(([phrase, colour]) => html`<li><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="3" fill=${colour} /></svg> ${phrase}</li>`)}</ul>` : nothing}
      </section>`,
    root,
  );
  withoutInjectedStyle();
  viewer = OpenSeadragon({
    element: root.querySelector(".canvas") as HTMLElement,
    tileSources: tiles(uid, "slide", slide) as unknown as string,
    showNavigationControl: false, drawer: "canvas", maxZoomPixelRatio: 4, visibilityRatio: 0.5,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  });
  viewer.addHandler("tile-load-failed", (event) => void sayWhy(root.querySelector(".slide") as HTMLElement, event.tile.getUrl()));
  const place = ([x0, y0, x1, y1]: number[]) => viewer.world.getItemAt(0).imageToViewportRectangle(x0!, y0!, x1! - x0!, y1! - y0!);
  const own = () => place(slide.box);
  viewer.addOnceHandler("open", () => {
    for (const one of [...outlined, { uid, phrase: null, colour: null, box: slide.box }]) {
      const element = Object.assign(document.createElement("div"), { className: one.phrase === null ? "outline patch" : "outline", title: one.phrase ?? "a patch" });
      if (one.colour) element.style.borderColor = one.colour;
      if (one.box === slide.box) element.classList.add("own");
      else if (one.phrase === null) element.hidden = true;
      (one.phrase === null ? marks.patches : marks.regions)!.push(element);
      viewer.addOverlay({ element, location: place(one.box) });
    }
  });
  const panel = root.querySelector<HTMLElement>("#phrase");
  const leave = panel ? slidePhrase(panel, uid, viewer) : () => {};
  return () => {
    leave();
    viewer.destroy();
  };
}

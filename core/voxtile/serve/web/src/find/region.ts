/** A part of a sample to search by: drawn on its picture, or given in numbers. */

import { html, nothing, render } from "lit";
import { ref } from "lit/directives/ref.js";
import { findAddress, lookAddress } from "../address";
import { ask, file, type Shown } from "../api";

type Box = { top: number; left: number; bottom: number; right: number };
const SIDES = ["left", "top", "right", "bottom"] as const;

export async function regionPage(root: HTMLElement, uid: string): Promise<() => void> {
  document.title = "Search by a region – voxtile";
  const shown = await ask<Shown>(`samples/${encodeURIComponent(uid)}/shown`);
  const state = { stack: 0, at: middle(shown, 0), size: { width: shown.width ?? 0, height: shown.height ?? 0 }, box: null as Box | null };
  const draw = () => render(view(), root);

  const stack = () => shown.stacks[state.stack];
  const picture = () => {
    const on = stack();
    if (on) return file(uid, `planes/${on.name}/${state.at}`);
    return file(uid, "picture", shown.bands[0] ? { bands: shown.bands[0] } : {});
  };
  const loaded = (event: Event) => {
    const image = event.target as HTMLImageElement;
    if (stack() || !state.size.width) state.size = { width: image.naturalWidth, height: image.naturalHeight };
    draw();
  };
  const shaped = (image?: Element) => {
    const on = stack();
    if (image && on) (image as HTMLElement).style.aspectRatio = `${on.width_mm} / ${on.height_mm}`; // millimetres, not voxels
  };
  const begin = (event: PointerEvent) => {
    const area = event.currentTarget as HTMLElement;
    const from = place(event, area);
    area.setPointerCapture(event.pointerId);
    area.onpointermove = (moved) => {
      state.box = between(from, place(moved, area));
      draw();
    };
    area.onpointerup = () => (area.onpointermove = area.onpointerup = null);
  };
  const place = (event: PointerEvent, area: HTMLElement) => {
    const edges = area.getBoundingClientRect();
    const within = (value: number, size: number) => Math.round(Math.min(Math.max(value, 0), 1) * size);
    return {
      x: within((event.clientX - edges.left) / edges.width, state.size.width),
      y: within((event.clientY - edges.top) / edges.height, state.size.height),
    };
  };
  const typed = (side: (typeof SIDES)[number]) => (event: Event) => {
    const whole = { left: 0, top: 0, right: state.size.width, bottom: state.size.height };
    state.box = { ...(state.box ?? whole), [side]: Number((event.target as HTMLInputElement).value) };
    draw();
  };
  const search = (event: Event) => {
    event.preventDefault();
    if (!state.box) return;
    const { top, left, bottom, right } = state.box;
    const on = stack();
    location.hash = findAddress({ like: uid, box: [top, left, bottom, right], plane: on ? `${on.name}:${state.at}` : "" });
  };
  const turn = (number: number) => {
    Object.assign(state, { stack: number, at: middle(shown, number), box: null });
    draw();
  };

  const view = () => html`<h1>Search by a region</h1>
    <p class="soft">Draw a box on the picture, or give its edges in pixels. <a href=${lookAddress(uid)}>Back to the sample</a></p>
    <form class="search" @submit=${search}>
      ${shown.stacks.length
        ? html`<label>Planes <select @change=${(event: Event) => turn((event.target as HTMLSelectElement).selectedIndex)}>
              ${shown.stacks.map((one) => html`<option>${one.name}</option>`)}</select></label>
            <label class="wide">Plane ${state.at + 1} of ${stack()?.count}
              <input type="range" min="0" max=${(stack()?.count ?? 1) - 1} .value=${String(state.at)}
                @input=${(event: Event) => { state.at = Number((event.target as HTMLInputElement).value); draw(); }} /></label>`
        : nothing}
      ${SIDES.map((side) => html`<label>${side}
        <input type="number" min="0" max=${side === "left" || side === "right" ? state.size.width : state.size.height}
          .value=${state.box ? String(state.box[side]) : ""} @change=${typed(side)} /></label>`)}
      <button type="submit" ?disabled=${!state.box}>Find similar</button>
    </form>
    <div class="drawn" @pointerdown=${begin}>
      <img src=${picture()} alt="the sample" draggable="false" @load=${loaded} ${ref(shaped)} />
      ${state.box ? outline(state.box, state.size) : nothing}
    </div>`;
  draw();
  return () => {};
}

/** The box as a drawing over the picture, in its pixels. */
function outline(box: Box, size: { width: number; height: number }) {
  return html`<svg viewBox="0 0 ${size.width} ${size.height}" preserveAspectRatio="none" aria-hidden="true">
    <rect x=${box.left} y=${box.top} width=${Math.max(0, box.right - box.left)} height=${Math.max(0, box.bottom - box.top)}></rect></svg>`;
}

function middle(shown: Shown, stack: number): number {
  return Math.floor((shown.stacks[stack]?.count ?? 0) / 2);
}

function between(from: { x: number; y: number }, to: { x: number; y: number }): Box {
  return { left: Math.min(from.x, to.x), right: Math.max(from.x, to.x), top: Math.min(from.y, to.y), bottom: Math.max(from.y, to.y) };
}

/** A volume: three planes as pictures at once, and NiiVue as soon as the browser has the whole of it. */

import { html, nothing, render } from "lit";
import { ref } from "lit/directives/ref.js";
import { ask, type Companion, file, type Known, type Shown } from "../api";
import { type Fused, openNiivue } from "./niivue";
import { asked, type Overlay, sayWhy, type Viewer } from "./viewer";

/** What lies at the left and at the top of a plane as it hangs. */
const SIDES: Record<string, [string, string]> = { axial: ["R", "A"], coronal: ["R", "S"], sagittal: ["A", "S"] };

export async function showVolume(place: HTMLElement, known: Known, shown: Shown): Promise<Viewer> {
  const at = shown.stacks.map((stack) => Math.floor(stack.count / 2));
  const state = { window: 0, regions: known.regions.some((region) => region.has_mask), said: "", live: false, over: null as Overlay | null, fused: null as Fused | null };
  const companions = known.study.length ? await ask<Companion[]>(`samples/${encodeURIComponent(known.uid)}/companions`) : [];
  let viewer: Awaited<ReturnType<typeof openNiivue>> | null = null;
  const draw = () => render(view(), place);
  const windowSaid = (window: Shown["windows"][number]) => {
    const range = `${Number(window.low.toPrecision(4))} to ${Number(window.high.toPrecision(4))}`;
    return window.name === range ? `${known.sample.units ?? "values"} ${range}` : `${window.name}, ${range}`;
  };

  const plane = (number: number) => {
    const stack = shown.stacks[number]!;
    const where = `planes/${stack.name}/${at[number]}`;
    const laid: Record<string, string | number> = state.fused ? { over: state.fused.uid, low: state.fused.low, high: state.fused.high } : {};
    const source = state.over
      ? file(known.uid, `phrase/${where}`, { window: state.window, ...asked(state.over), ...laid })
      : file(known.uid, where, { window: state.window, regions: state.regions, ...laid });
    const move = (event: Event) => {
      at[number] = Number((event.target as HTMLInputElement).value);
      draw();
    };
    const sides = known.sample.affine ? SIDES[stack.name] : undefined;
    const shaped = (image?: Element) => {
      if (image) (image as HTMLElement).style.aspectRatio = `${stack.width_mm} / ${stack.height_mm}`; // millimetres, not voxels
    };
    return html`<figure class="plane"><div><img src=${source} alt=${`${stack.name} plane ${at[number]! + 1}`} ${ref(shaped)} @error=${() => void sayWhy(place, source)} />
      ${sides ? html`<span class="left">${sides[0]}</span><span class="top">${sides[1]}</span>` : nothing}</div>
      <figcaption><label>${stack.name}, ${at[number]! + 1} of ${stack.count}
        <input type="range" min="0" max=${stack.count - 1} .value=${String(at[number])} @input=${move} /></label></figcaption></figure>`;
  };

  const view = () => html`<div class="controls">
      <label>Window <select @change=${(event: Event) => choose(Number((event.target as HTMLSelectElement).value))}>
        ${shown.windows.map((window, n) => html`<option value=${n}>${windowSaid(window)}</option>`)}
      </select></label>
      ${known.regions.some((region) => region.has_mask)
        ? html`<label><input type="checkbox" .checked=${state.regions} @change=${toggle} /> regions</label>` : nothing}
      ${state.live ? html`<label>View <select @change=${(event: Event) => viewer?.setView((event.target as HTMLSelectElement).value)}>
        ${viewer?.views.map((name) => html`<option>${name}</option>`)}</select></label>` : nothing}
      ${companions.length ? over() : nothing}
    </div>
    <div class="canvas" ?hidden=${!state.live}><canvas tabindex="0" aria-label="Planes of the volume; arrow keys and page keys move through them"></canvas></div>
    ${state.live ? nothing : html`<div class="planes">${shown.stacks.map((_, n) => plane(n))}</div>`}
    ${state.said ? html`<p class="soft" role="status">${state.said}</p>` : nothing}`;

  /** Which other volume of the study lies over this one, and from and to which of its values. */
  const over = () => html`<label>Over it <select @change=${(event: Event) => fuse(companions[Number((event.target as HTMLSelectElement).value)])}>
      <option value="-1">nothing</option>${companions.map((one, n) => html`<option value=${n}>${[one.modality, one.units].filter(Boolean).join(", ")}</option>`)}</select></label>
    ${state.fused ? html`<label>from <input type="number" step="any" .value=${String(state.fused.low)} @change=${limit("low")} /></label>
      <label>to <input type="number" step="any" .value=${String(state.fused.high)} @change=${limit("high")} /></label>` : nothing}`;
  const limit = (name: "low" | "high") => (event: Event) => {
    if (state.fused) void fused({ ...state.fused, [name]: Number((event.target as HTMLInputElement).value) });
  };
  const fuse = (one: Companion | undefined) =>
    fused(one ? { uid: one.uid, low: Number(one.window.low.toPrecision(4)), high: Number(one.window.high.toPrecision(4)) } : null);
  const fused = async (other: Fused | null) => {
    state.fused = other;
    if (!viewer) return draw(); // pictures of planes have it in them
    state.said = other ? "loading what lies over it…" : "";
    draw();
    try {
      await viewer.fuse(other);
      state.said = "";
    } catch (error) {
      state.fused = null;
      state.said = error instanceof Error ? error.message : "It cannot be laid over.";
    }
    draw();
  };

  const choose = (window: number) => {
    state.window = window;
    viewer?.setWindow(shown.windows[window]!);
    draw();
  };
  const toggle = (event: Event) => {
    state.regions = (event.target as HTMLInputElement).checked;
    viewer?.showRegions(state.regions);
    draw();
  };

  draw();
  let left = false;
  const load = async () => {
    const canvas = place.querySelector("canvas") as HTMLCanvasElement;
    try {
      state.said = "loading the whole volume…";
      draw();
      const opened = await openNiivue(canvas, known, shown, () => {
        state.live = true;
        state.said = "";
        draw(); // the canvas needs its size before NiiVue draws
      });
      if (left) return opened.close();
      viewer = opened;
      await Promise.all([opened.lay(state.over), opened.fuse(state.fused)]);
      draw();
    } catch (error) {
      state.live = false;
      state.said = error instanceof Error ? error.message : "The volume cannot be shown whole.";
      draw();
    }
  };
  void load();
  const lay = (over: Overlay | null) => {
    state.over = over;
    draw();
    void viewer?.lay(over).catch((error: unknown) => {
      state.said = error instanceof Error ? error.message : "The map cannot be shown.";
      draw();
    });
  };
  const close = () => {
    left = true;
    viewer?.close();
  };
  return { lay, close };
}

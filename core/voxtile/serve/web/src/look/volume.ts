/** A volume: three planes as pictures at once, and NiiVue as soon as the browser has the whole of it. */

import { html, nothing, render } from "lit";
import { file, type Known, type Shown } from "../api";
import { openNiivue } from "./niivue";

export async function showVolume(place: HTMLElement, known: Known, shown: Shown): Promise<() => void> {
  const at = shown.stacks.map((stack) => Math.floor(stack.count / 2));
  const state = { window: 0, regions: known.regions.some((region) => region.has_mask), said: "", live: false };
  let viewer: Awaited<ReturnType<typeof openNiivue>> | null = null;
  const draw = () => render(view(), place);

  const plane = (number: number) => {
    const stack = shown.stacks[number]!;
    const source = file(known.uid, `planes/${stack.name}/${at[number]}`, { window: state.window, regions: state.regions });
    const move = (event: Event) => {
      at[number] = Number((event.target as HTMLInputElement).value);
      draw();
    };
    const height = Math.round((256 * stack.height_mm) / stack.width_mm);
    return html`<figure class="plane"><img src=${source} width="256" height=${height} alt=${`${stack.name} plane ${at[number]! + 1}`} />
      <figcaption><label>${stack.name}, ${at[number]! + 1} of ${stack.count}
        <input type="range" min="0" max=${stack.count - 1} .value=${String(at[number])} @input=${move} /></label></figcaption></figure>`;
  };

  const view = () => html`<div class="controls">
      <label>Window <select @change=${(event: Event) => choose(Number((event.target as HTMLSelectElement).value))}>
        ${shown.windows.map((window, n) => html`<option value=${n}>${window.name}, ${Number(window.low.toPrecision(4))} to ${Number(window.high.toPrecision(4))}</option>`)}
      </select></label>
      ${known.regions.some((region) => region.has_mask)
        ? html`<label><input type="checkbox" .checked=${state.regions} @change=${toggle} /> regions</label>` : nothing}
      ${state.live ? html`<label>View <select @change=${(event: Event) => viewer?.setView((event.target as HTMLSelectElement).value)}>
        ${viewer?.views.map((name) => html`<option>${name}</option>`)}</select></label>` : nothing}
    </div>
    <div class="canvas" ?hidden=${!state.live}><canvas tabindex="0" aria-label="Planes of the volume; arrow keys and page keys move through them"></canvas></div>
    ${state.live ? nothing : html`<div class="planes">${shown.stacks.map((_, n) => plane(n))}</div>`}
    ${state.said ? html`<p class="soft" role="status">${state.said}</p>` : nothing}`;

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
      if (left) opened.close();
      viewer = opened;
      draw();
    } catch (error) {
      state.live = false;
      state.said = error instanceof Error ? error.message : "The volume cannot be shown whole.";
      draw();
    }
  };
  void load();
  return () => {
    left = true;
    viewer?.close();
  };
}

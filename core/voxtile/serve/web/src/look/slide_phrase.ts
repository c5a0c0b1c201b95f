/** Where on a slide a phrase is: the cosine of each patch as a picture over it, and the nearest patches as links. */

import { html, nothing, render } from "lit";
import type OpenSeadragon from "openseadragon";
import { lookAddress } from "../address";
import { ask, file, Refused } from "../api";

const LOOKED_MS = 3000;

interface SlideAnswer {
  low: number | null;
  high: number | null;
  nearest: { uid: string; cosine: number }[];
  patches: number;
  missing: number;
  making: boolean;
}

/** The panel; returns what ends it. */
export function slidePhrase(place: HTMLElement, uid: string, viewer: OpenSeadragon.Viewer): () => void {
  let answer: SlideAnswer | null = null;
  let phrase = "";
  let said = "";
  let laid: HTMLElement | null = null;
  let timer = 0;
  let asked = 0;

  const lay = () => {
    if (laid) viewer.removeOverlay(laid);
    laid = answer && answer.low !== null ? Object.assign(document.createElement("img"), { src: file(uid, "slide/phrase/picture", { phrase, known: answer.patches - answer.missing }), alt: `where the model sees: ${phrase}`, className: "laid" }) : null;
    const put = () => laid && viewer.addOverlay({ element: laid, location: viewer.world.getItemAt(0).getBounds() });
    if (viewer.world.getItemCount()) put();
    else viewer.addOnceHandler("open", put);
  };
  const look = async () => {
    const own = ++asked;
    try {
      const found = await ask<SlideAnswer>(`samples/${encodeURIComponent(uid)}/slide/phrase`, { phrase });
      if (own !== asked) return;
      const isNew = !answer || answer.missing !== found.missing;
      answer = found;
      said = "";
      if (isNew) lay();
      if (found.missing && found.making) timer = window.setTimeout(() => void look(), LOOKED_MS);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (own !== asked) return;
      answer = null;
      said = error.message;
      lay();
    }
    draw();
  };
  const show = (event: SubmitEvent) => {
    event.preventDefault();
    phrase = String(new FormData(event.target as HTMLFormElement).get("phrase") ?? "").trim();
    clearTimeout(timer);
    answer = null;
    said = "The model looks…";
    draw();
    void look();
  };
  const hide = () => {
    clearTimeout(timer);
    asked++;
    answer = null;
    said = "";
    lay();
    draw();
  };
  const missing = (found: SlideAnswer) =>
    found.missing ? html`<p class="notice" role="status">${found.missing.toLocaleString("en")} of ${found.patches.toLocaleString("en")} patches have no vector of the model${found.making
      ? html`; they are being made. <progress max=${found.patches} value=${found.patches - found.missing}></progress>` : ": add them with voxtile embed."}</p>` : nothing;
  const draw = () =>
    render(
      html`<h2>Where on the slide is it?</h2>
        <form class="controls" @submit=${show}>
          <label class="wide">Phrase <input name="phrase" type="search" required maxlength="500" placeholder="what to look for on the slide" /></label>
          <button type="submit">Show</button>
          ${answer ? html`<button type="button" class="quiet" @click=${hide}>Take away</button>` : nothing}
        </form>
        ${said ? html`<p class=${said.endsWith("…") ? "soft" : "notice"} role="status">${said}</p>` : nothing}
        ${answer ? missing(answer) : nothing}
        ${answer?.low != null ? html`<p role="status">Cosines of the patches: ${answer.low.toFixed(3)} (see-through) to ${answer.high!.toFixed(3)} (yellow). <small>A similarity says where rather than whether.</small></p>
          <p>Nearest: ${answer.nearest.map((one, n) => html`${n ? ", " : ""}<a href=${lookAddress(one.uid)}>${one.cosine.toFixed(3)}</a>`)}</p>` : nothing}`,
      place,
    );
  draw();
  return () => {
    clearTimeout(timer);
    asked++;
  };
}

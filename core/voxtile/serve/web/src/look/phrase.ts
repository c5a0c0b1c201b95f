/** Where a phrase is in the image, by the model that is served, and files of what is shown. */

import { html, nothing, render } from "lit";
import { ask, type Believed, file, type Known, Refused, type ShownBy } from "../api";
import { FORMS } from "./details";
import { asked, type Overlay, type Viewer } from "./viewer";

/** What was asked last, for the next sample. */
const last = { phrase: "", method: "auto", kind: "map" as Overlay["kind"], threshold: 0.5, least: 0.5 };

export function phrasePanel(place: HTMLElement, known: Known, viewer: Viewer, model: ShownBy): void {
  let over: Overlay | null = null;
  let believed: Believed | null = null;
  let said = "";
  let turn = 0;

  const show = async (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.target as HTMLFormElement);
    last.phrase = String(given.get("phrase") ?? "").trim();
    last.method = String(given.get("method") ?? "auto");
    hide(); // what was shown of the phrase before
    const own = ++turn;
    said = "The model looks…";
    draw();
    try {
      const found = await ask<Believed>(`samples/${encodeURIComponent(known.uid)}/phrase`, { phrase: last.phrase, method: last.method });
      if (own !== turn) return;
      believed = found;
      said = "";
      lay();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (own !== turn) return;
      said = error.message;
      hide();
    }
  };
  const lay = () => {
    if (!believed) return;
    over = { ...last, presence: believed.presence };
    viewer.lay(over);
    draw();
  };
  const hide = () => {
    turn++;
    over = believed = null;
    viewer.lay(null);
    draw();
  };
  const set = (name: "threshold" | "least") => (event: Event) => {
    last[name] = Number((event.target as HTMLInputElement).value);
    lay();
  };
  const choose = (event: Event) => {
    last.kind = (event.target as HTMLSelectElement).value as Overlay["kind"];
    lay();
  };

  const shown = () => {
    if (!over || !believed) return nothing;
    const absent = over.presence < over.least;
    const masked = { ...asked({ ...over, kind: "mask" }) };
    return html`<div class="controls">
        <label>As <select @change=${choose}>${["map", "mask"].map((kind) => html`<option ?selected=${kind === over!.kind}>${kind}</option>`)}</select></label>
        ${over.kind === "mask" ? html`<label>from <input type="number" min="0.01" max="0.99" step="0.01" .value=${String(over.threshold)} @change=${set("threshold")} /></label>
          <label>if believed from <input type="number" min="0" max="1" step="0.01" .value=${String(over.least)} @change=${set("least")} /></label>` : nothing}
        <button type="button" class="quiet" @click=${hide}>Take away</button>
      </div>
      <p role="status">${absent ? "Believed to be absent" : "Believed to be there"}: ${believed.presence.toFixed(2)}, where ${over.least} is enough; shown by ${believed.method}.
        ${absent && over.kind === "map" ? html`<small>The map says where it would be.</small>` : nothing}
        ${believed.method === "decoder" ? nothing : html`<small>A similarity says where rather than whether.</small>`}</p>
      ${absent ? html`<p class="soft">There is no mask to save.</p>` : believed.forms.length ? html`<p>Save the mask as ${believed.forms.map((form, n) => html`${n ? ", " : ""}<a href=${file(known.uid, "phrase/saved", { ...masked, to: form })} download>${FORMS[form]}</a>`)}</p>` : nothing}`;
  };

  const draw = () =>
    render(
      html`<h2>Where is it?</h2>
        <form class="controls" @submit=${show}>
          <label class="wide">Phrase <input name="phrase" type="search" required maxlength="500" .value=${last.phrase} placeholder="what to look for in the image" /></label>
          <label>Shown by <select name="method">${["auto", ...model.methods].map((name) => html`<option ?selected=${name === last.method}>${name}</option>`)}</select></label>
          <button type="submit">Show</button>
        </form>
        ${said ? html`<p class=${over || said.endsWith("…") ? "soft" : "notice"} role="status">${said}</p>` : nothing}
        ${shown()}`,
      place,
    );
  draw();
}

/** Scores of the viewer's own classes: a line a class, with a temperature. */

import { html, nothing, render } from "lit";
import { ask, type Known, Refused, type Scored } from "../api";

/** What was asked last, for the next sample. */
const last = { lines: "", temperature: "1" };

export function classesPanel(place: HTMLElement, known: Known): void {
  let scored: Scored | null = null;
  let said = "";
  const score = async (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.target as HTMLFormElement);
    last.lines = String(given.get("classes") ?? "");
    last.temperature = String(given.get("temperature") ?? "1");
    said = "The model reads…";
    scored = null;
    draw();
    try {
      scored = await ask<Scored>(`samples/${encodeURIComponent(known.uid)}/classes`, { classes: classesOf(last.lines), temperature: Number(last.temperature) });
      said = "";
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      said = error.message;
    }
    draw();
  };
  const draw = () =>
    render(
      html`<h2>Which class is it?</h2>
        <form class="classes" @submit=${score}>
          <label>Classes, one a line; a class may have several texts
            <textarea name="classes" rows="4" maxlength="20000" spellcheck="false" required .value=${last.lines} placeholder=${"effusion: pleural effusion | fluid in the pleural space\nnone: no pleural effusion"}></textarea></label>
          <div class="controls"><label>Temperature <input name="temperature" type="number" min="0.001" max="1000" step="any" .value=${last.temperature} /></label>
            <button type="submit">Score</button></div>
        </form>
        ${said ? html`<p class=${said.endsWith("…") ? "soft" : "notice"} role="status">${said}</p>` : nothing}
        ${scored ? table(scored) : nothing}`,
      place,
    );
  draw();
}

/** `name: text | text`, or a text that is its own name. */
export function classesOf(lines: string): Record<string, string[]> {
  const found: [string, string[]][] = [];
  for (const line of lines.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const named = /^([^:|]+):(.*)$/.exec(line);
    const texts = (named ? named[2]! : line).split("|").map((text) => text.trim());
    found.push([(named ? named[1]! : texts[0]!).trim(), texts]);
  }
  return Object.fromEntries(found);
}

function table(scored: Scored) {
  const order = [...scored.scores].sort((a, b) => b.probability - a.probability);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Scores"><table>
      <thead><tr><th scope="col">class</th><th scope="col">probability</th><th scope="col">cosine</th></tr></thead>
      <tbody>${order.map((one) => html`<tr><th scope="row">${one.name}</th>
        <td class="nowrap"><meter min="0" max="1" value=${one.probability} aria-label=${one.name}></meter> ${one.probability.toFixed(3)}</td><td>${one.cosine.toFixed(4)}</td></tr>`)}</tbody>
    </table></div>
    <p class="soft">${scored.trained_by === "softmax" ? "Among these classes (softmax): they sum to 1." : "Of each class by itself (sigmoid), as the model was trained."}
      Untested they are no more than an order.</p>`;
}

/** A chat about the sample by the assistant that is served: answers as they are written, and what each sentence rests on. */

import { html, nothing, render } from "lit";
import { type Assistant, type Claim, type Known, Refused, type RestsOn, streamChat } from "../api";

interface Turn {
  question: string;
  answer: string;
  rests: RestsOn | null;
  cut: boolean;
}

export function chatPanel(place: HTMLElement, known: Known, assistant: Assistant): () => void {
  const turns: Turn[] = [];
  let said = "";
  let writing: AbortController | null = null;

  const ask = async (question: string) => {
    if (!question || writing) return;
    const turn: Turn = { question, answer: "", rests: null, cut: false };
    const messages = asMessages(known.uid, turns, question);
    turns.push(turn);
    writing = new AbortController();
    said = "The assistant writes…";
    draw();
    try {
      for await (const chunk of streamChat(assistant.model, messages, writing.signal)) {
        turn.answer += chunk.text;
        turn.rests = chunk.rests ?? turn.rests;
        turn.cut = chunk.finished === "length" || turn.cut;
        draw();
      }
      said = "";
    } catch (error) {
      if (!(error instanceof Refused) && !(error instanceof DOMException)) throw error;
      said = error instanceof Refused ? error.message : "Stopped.";
      if (!turn.rests) turns.pop();
    }
    writing = null;
    draw();
    place.querySelector<HTMLInputElement>("input[name=question]")?.focus();
  };
  const send = (event: SubmitEvent) => {
    event.preventDefault();
    const field = (event.target as HTMLFormElement).elements.namedItem("question") as HTMLInputElement;
    void ask(field.value.trim());
    field.value = "";
  };
  const anew = () => {
    turns.length = 0;
    said = "";
    draw();
  };

  const draw = () =>
    render(
      html`<h2>Ask the assistant</h2>
        <p class="soft">${assistant.warning}</p>
        ${turns.map((turn) => exchange(turn, assistant.least))}
        <p class=${said && !said.endsWith("…") ? "notice" : "soft"} role="status">${said}</p>
        ${assistant.answers_questions ? html`<form class="controls" @submit=${send}>
          <label class="wide">Question <input name="question" type="text" autocomplete="off" required maxlength="2000" placeholder="what to know of the image" /></label>
          <button type="submit" ?disabled=${writing !== null}>Ask</button>
        </form>` : nothing}
        <div class="controls">
          <button type="button" class="quiet" ?disabled=${writing !== null} @click=${() => void ask(assistant.report_question)}>${assistant.report_question}</button>
          ${writing ? html`<button type="button" class="quiet" @click=${() => writing?.abort()}>Stop</button>` : nothing}
          ${turns.length && !writing ? html`<button type="button" class="quiet" @click=${anew}>Begin anew</button>` : nothing}
        </div>`,
      place,
    );
  draw();
  return () => writing?.abort();
}

/** The dialogue so far and the question; the sample's image stands in the first message. */
function asMessages(uid: string, turns: Turn[], question: string): unknown[] {
  const image = { type: "image_url", image_url: { url: `voxtile:${uid}` } };
  const all = [...turns.flatMap((turn) => [{ role: "user", content: turn.question }, { role: "assistant", content: turn.answer }]), { role: "user", content: question }];
  return all.map((message, n) => (n ? message : { ...message, content: [image, { type: "text", text: message.content }] }));
}

function exchange(turn: Turn, least: number) {
  const rests = turn.rests;
  return html`<article class="told chat">
    <p><b>${turn.question}</b></p>
    ${rests && rests.confidence < least
      ? html`<p>This cannot be told from this image. <small>confidence ${rests.confidence.toFixed(2)}</small></p>
          <details><summary>What was written all the same</summary>${rests.claims.map(claimed)}</details>`
      : rests
        ? html`${rests.claims.map(claimed)}<small>confidence ${rests.confidence.toFixed(2)}${turn.cut ? ", cut at its longest length" : ""}</small>`
        : html`<p>${turn.answer}</p>`}
    ${rests && rests.confidence >= least ? rests.notes.map((note) => html`<p class="notice" role="note">${note}</p>`) : nothing}
  </article>`;
}

function claimed(claim: Claim) {
  if (claim.support === null) return html`<p>${claim.text}</p>`;
  return html`<p>${claim.text} <span class="nowrap"><meter min="0" max="1" value=${claim.support} aria-label=${`support of: ${claim.text}`}></meter> <small>support ${claim.support.toFixed(2)}</small></span></p>`;
}

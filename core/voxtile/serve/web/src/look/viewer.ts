/** What all viewers offer, and what can be laid over the image. */

import { file, reach } from "../api";

/** A phrase as the model shows it: its map, or its mask where a target is believed to be there. */
export interface Overlay {
  phrase: string;
  method: string;
  presence: number;
  kind: "map" | "mask";
  threshold: number;
  least: number;
}

export interface Viewer {
  /** Lay a phrase over the image in place of what lies there; null takes it away. */
  lay(over: Overlay | null): void;
  close(): void;
}

/** What is asked for: a mask by its thresholds, a map without. */
export function asked(over: Overlay): Record<string, string | number> {
  const plain = { phrase: over.phrase, method: over.method };
  return over.kind === "map" ? plain : { ...plain, threshold: over.threshold, presence: over.least };
}

/** Say below an image why it is not there: what a browser shows in its place does not. */
export async function sayWhy(place: HTMLElement, address: string): Promise<void> {
  const said = await reach(address).then(() => "This browser cannot show the picture.", (error: Error) => error.message);
  const notice = place.querySelector(".notice") ?? place.appendChild(document.createElement("p"));
  Object.assign(notice, { className: "notice", role: "alert", textContent: said });
}

/** Address of the picture of a phrase over a flat sample. */
export function overlayPicture(uid: string, over: Overlay): string {
  return file(uid, "phrase/picture", asked(over));
}

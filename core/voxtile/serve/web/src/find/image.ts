/** An image of one's own to search by. */

import { html, nothing } from "lit";
import { findAddress, type Search } from "../address";
import { type Model, Refused, sendImage } from "../api";

const ENDINGS = ".png,.jpg,.jpeg,.webp,.nii,.nii.gz,.gz,.dcm,.tif,.tiff,.jp2";

export function imageField(search: Search, model: Model, said: (problem: string) => void) {
  const send = async (event: Event) => {
    const field = event.target as HTMLInputElement;
    const image = field.files?.[0];
    if (!image) return;
    const modality = field.form?.querySelector<HTMLSelectElement>("[name=modality]")?.value ?? "";
    field.disabled = true;
    try {
      const { where, facts } = search;
      location.hash = findAddress({ where, facts, image: await sendImage(image, modality) });
    } catch (error) {
      said(error instanceof Refused ? error.message : "The image could not be sent.");
    } finally {
      field.disabled = false;
      field.value = "";
    }
  };
  return html`<label class="wide">or an image <input type="file" accept=${ENDINGS} @change=${send} /></label>
    ${model.modalities.length > 1
      ? html`<label>of a NIfTI file <select name="modality">${model.modalities.map((one) => html`<option>${one}</option>`)}</select></label>`
      : nothing}`;
}

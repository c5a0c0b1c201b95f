/** An image of one's own to search by. */

import { html, nothing } from "lit";
import { findAddress, type Search } from "../address";
import { type Model, Refused, sendImage } from "../api";

const ENDINGS = ".png,.jpg,.jpeg,.webp,.nii,.nii.gz,.gz,.dcm,.tif,.tiff,.jp2,.zip";
const MOST_BYTES = 256 << 20; // what the server takes

/** A file as it is; several, such as the slices of a series, as an archive that is not compressed. */
async function oneFile(files: File[]): Promise<File> {
  if (files.length === 1) return files[0]!;
  if (files.reduce((sum, one) => sum + one.size, 0) > MOST_BYTES) throw new Refused(413, "The files are above 256 MB together; send fewer.");
  const { zipSync } = await import("fflate");
  const contents = await Promise.all(files.map(async (one, n) => [`${n}-${one.name}`, new Uint8Array(await one.arrayBuffer())] as const));
  return new File([zipSync(Object.fromEntries(contents), { level: 0 })], "series.zip");
}

export function imageField(search: Search, model: Model, said: (problem: string) => void) {
  const send = async (event: Event) => {
    const field = event.target as HTMLInputElement;
    const files = [...(field.files ?? [])];
    if (!files.length) return;
    const modality = field.form?.querySelector<HTMLSelectElement>("[name=modality]")?.value ?? "";
    field.disabled = true;
    try {
      const { where, facts } = search;
      location.hash = findAddress({ where, facts, image: await sendImage(await oneFile(files), modality) });
    } catch (error) {
      said(error instanceof Refused ? error.message : "The image could not be sent.");
    } finally {
      field.disabled = false;
      field.value = "";
    }
  };
  return html`<label class="wide">or an image <input type="file" multiple accept=${ENDINGS} title="one file, or all slices of a DICOM series" @change=${send} /></label>
    ${model.modalities.length > 1
      ? html`<label>of a NIfTI file <select name="modality">${model.modalities.map((one) => html`<option>${one}</option>`)}</select></label>`
      : nothing}`;
}

/** A scene on its own grid: Leaflet, with bands by name, nodata see-through, and coordinates of the ground. */

import L from "leaflet";
import "leaflet/dist/leaflet.css";
import { html, nothing, render } from "lit";
import { file, type Known, type Shown } from "../api";
import { type Overlay, overlayPicture, sayWhy, type Viewer } from "./viewer";

export async function showScene(place: HTMLElement, known: Known, shown: Shown): Promise<Viewer> {
  const [width, height] = [shown.width ?? 1, shown.height ?? 1];
  let picture: L.ImageOverlay;
  const choose = (event: Event) => picture.setUrl(source((event.target as HTMLSelectElement).value));
  const source = (bands: string | undefined) => file(known.uid, "picture", bands ? { bands } : {});
  render(
    html`<div class="controls">
        ${shown.bands.length ? html`<label>Bands <select @change=${choose}>${shown.bands.map((name) => html`<option>${name}</option>`)}</select></label>` : nothing}
        <output class="soft" aria-live="off">${known.sample.crs ? `coordinates in ${String(known.sample.crs)}` : ""}</output>
      </div>
      <div class="canvas scene" role="group" aria-label="The scene; plus, minus and arrow keys move it"></div>`,
    place,
  );
  const map = L.map(place.querySelector(".canvas") as HTMLElement, { crs: L.CRS.Simple, attributionControl: false, minZoom: -6, maxZoom: 6, zoomSnap: 0.25 });
  const frame = L.latLngBounds([0, 0], [height, width]);
  picture = L.imageOverlay(source(shown.bands[0]), frame, { alt: "the scene", className: "pixels" }).addTo(map);
  picture.on("error", () => void sayWhy(place, picture.getElement()!.src));
  map.fitBounds(frame);
  const marks = L.layerGroup().addTo(map);
  for (const region of known.regions) {
    if (region.has_mask) L.imageOverlay(file(known.uid, `regions/${encodeURIComponent(region.region_id)}/mask`), frame, { alt: region.phrase }).addTo(marks);
    if (region.box?.length !== 4) continue;
    const [y0, x0, y1, x1] = region.box as [number, number, number, number];
    L.rectangle([[height - y0, x0], [height - y1, x1]], { color: region.colour, weight: 2, fill: false }).bindTooltip(text(region.phrase)).addTo(marks);
  }
  const output = place.querySelector("output") as HTMLElement;
  const transform = known.sample.transform as number[] | undefined;
  if (transform?.length === 6) {
    map.on("mousemove", (event) => (output.textContent = ground(transform, event.latlng.lng, height - event.latlng.lat, String(known.sample.crs ?? ""))));
  }
  let laid: L.ImageOverlay | null = null;
  const lay = (over: Overlay | null) => {
    laid?.remove();
    laid = over && L.imageOverlay(overlayPicture(known.uid, over), frame, { alt: `where the model sees: ${over.phrase}`, className: "pixels laid" }).addTo(map);
  };
  return { lay, close: () => map.remove() };
}

/** Coordinates of a pixel's place by an affine transform in rasterio's order. */
function ground([a, b, c, d, e, f]: number[], x: number, y: number, crs: string): string {
  const [east, north] = [a! * x + b! * y + c!, d! * x + e! * y + f!];
  const digits = Math.abs(a!) < 0.01 ? 5 : 0;
  return `${crs} ${east.toFixed(digits)}, ${north.toFixed(digits)}`;
}

/** As text: Leaflet takes a string for HTML. */
function text(said: string): HTMLElement {
  return Object.assign(document.createElement("span"), { textContent: said });
}

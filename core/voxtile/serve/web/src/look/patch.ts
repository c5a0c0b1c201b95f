/** A picture, such as a patch of a slide: OpenSeadragon, with the regions over it. */

import { html, nothing, render } from "lit";
import OpenSeadragon from "openseadragon";
import { slideAddress } from "../address";
import { ask, file, type Known, type Shown, type Zoomed } from "../api";
import { tiles } from "./tiles";
import { type Overlay, overlayPicture, sayWhy, type Viewer } from "./viewer";

const TILED_FROM = 4096; // pixels of a side: more than some browsers hold as one picture
const SMOOTH_FROM = 512; // pixels; smaller pictures are shown with visible pixels

/** OpenSeadragon writes a style into the page unless it is there; the server's policy allows an empty one alone. */
export function withoutInjectedStyle(): void {
  const mark = "data-openseadragon-mobile-css";
  if (document.querySelector(`style[${mark}]`)) return;
  const style = document.createElement("style");
  style.setAttribute(mark, "");
  document.head.append(style);
}

export async function showPatch(place: HTMLElement, known: Known, shown: Shown): Promise<Viewer> {
  let viewer: OpenSeadragon.Viewer;
  const isLarge = Math.max(shown.width ?? 0, shown.height ?? 0) >= TILED_FROM;
  const source = isLarge ? tiles(known.uid, "picture", await ask<Zoomed>(`samples/${encodeURIComponent(known.uid)}/picture.json`)) : { type: "image", url: file(known.uid, "picture") };
  const zoom = (by: number) => () => viewer.viewport.zoomBy(by).applyConstraints();
  render(
    html`<div class="controls">
        <button type="button" @click=${zoom(1.5)}>Closer</button>
        <button type="button" @click=${zoom(1 / 1.5)}>Further</button>
        <button type="button" @click=${() => viewer.viewport.goHome()}>Whole</button>
        ${known.regions.length ? html`<label><input type="checkbox" checked @change=${(event: Event) => show((event.target as HTMLInputElement).checked)} /> regions</label>` : ""}
        ${known.sample.level0_box ? html`<a href=${slideAddress(known.uid)}>On its slide</a>` : nothing}
      </div>
      <div class="canvas" role="group" aria-label="The picture; plus, minus and arrow keys move it"></div>`,
    place,
  );
  withoutInjectedStyle();
  viewer = OpenSeadragon({
    element: place.querySelector(".canvas") as HTMLElement,
    tileSources: source as unknown as string,
    showNavigationControl: false,
    drawer: "canvas",
    maxZoomPixelRatio: 16,
    visibilityRatio: 0.5,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  });
  viewer.addHandler("open-failed", () => void sayWhy(place, file(known.uid, "picture")));
  viewer.addHandler("tile-load-failed", (event) => void sayWhy(place, event.tile.getUrl()));
  const outlines: HTMLElement[] = [];
  viewer.addOnceHandler("open", () => {
    const size = viewer.world.getItemAt(0).getContentSize();
    viewer.drawer.setImageSmoothingEnabled(Math.max(size.x, size.y) >= SMOOTH_FROM);
    for (const region of known.regions) outlines.push(...outline(viewer, known.uid, region));
  });
  const show = (on: boolean) => outlines.forEach((one) => (one.hidden = !on));
  let laid: HTMLElement | null = null;
  const lay = (over: Overlay | null) => {
    if (laid) viewer.removeOverlay(laid);
    laid = over && Object.assign(document.createElement("img"), { src: overlayPicture(known.uid, over), alt: `where the model sees: ${over.phrase}`, className: "laid" });
    const put = () => laid && viewer.addOverlay({ element: laid, location: viewer.world.getItemAt(0).getBounds() });
    if (viewer.world.getItemCount()) put();
    else viewer.addOnceHandler("open", put);
  };
  return { lay, close: () => viewer.destroy() };
}

/** Box and mask of a region, laid over the picture. Boxes are in array order: y0, x0, y1, x1. */
function outline(viewer: OpenSeadragon.Viewer, uid: string, region: Known["regions"][number]): HTMLElement[] {
  const item = viewer.world.getItemAt(0);
  const made: HTMLElement[] = [];
  if (region.has_mask) {
    const mask = Object.assign(document.createElement("img"), { src: file(uid, `regions/${encodeURIComponent(region.region_id)}/mask`), alt: region.phrase });
    viewer.addOverlay({ element: mask, location: item.getBounds() });
    made.push(mask);
  }
  if (region.box?.length === 4) {
    const [y0, x0, y1, x1] = region.box as [number, number, number, number];
    const box = Object.assign(document.createElement("div"), { className: "outline", title: region.phrase });
    box.style.borderColor = region.colour;
    viewer.addOverlay({ element: box, location: item.imageToViewportRectangle(x0, y0, x1 - x0, y1 - y0) });
    made.push(box);
  }
  return made;
}

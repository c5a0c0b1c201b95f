/** NiiVue over a volume and the labels of its regions. */

import { Niivue, type NVImage, SLICE_TYPE } from "@niivue/niivue";
import { file, type Known, reach, type Shown } from "../api";
import type { Overlay } from "./viewer";

const VIEWS: Record<string, SLICE_TYPE> = {
  "three planes": SLICE_TYPE.MULTIPLANAR,
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  "in space": SLICE_TYPE.RENDER,
};
const OPACITY = 0.45;
const MAP_OPACITY = 0.6;
const EDGE = 0.0025; // half a level of a stored map: a mask ends where its threshold says

export interface VolumeViewer {
  views: string[];
  setView(name: string): void;
  setWindow(window: { low: number; high: number }): void;
  showRegions(shown: boolean): void;
  lay(over: Overlay | null): Promise<void>;
  /** Another volume of the study over this one, such as PET in SUV over CT; null takes it away. */
  fuse(other: Fused | null): Promise<void>;
  close(): void;
}

export interface Fused {
  uid: string;
  low: number;
  high: number;
}

/** Open a volume; `ready` is called when all is there and the canvas may be shown.
 * @throws Error in words for people where the browser has no WebGL 2. */
export async function openNiivue(canvas: HTMLCanvasElement, known: Known, shown: Shown, ready: () => void): Promise<VolumeViewer> {
  if (!document.createElement("canvas").getContext("webgl2")) {
    throw new Error("This browser has no WebGL 2, which the volume viewer needs; planes are shown as pictures.");
  }
  const masked = known.regions.filter((region) => region.has_mask);
  const [volume, labels] = await Promise.all([bytes(known.uid, "volume.nii"), masked.length ? bytes(known.uid, "regions.nii") : null]);
  ready();
  const nv = new Niivue({ backColor: [0, 0, 0, 1], isRadiologicalConvention: true, sagittalNoseLeft: true, show3Dcrosshair: true, crosshairWidth: 0.4, crosshairWidthUnit: "percent", logLevel: "error", fontColor: [1, 1, 1, 1], isOrientationTextVisible: true });
  await nv.attachToCanvas(canvas);
  const window = shown.windows[0]!;
  await nv.loadFromArrayBuffer(volume, "volume.nii");
  const image = nv.volumes[0]!;
  const setWindow = (one: { low: number; high: number }) => {
    image.cal_min = one.low;
    image.cal_max = one.high;
    nv.updateGLVolume();
  };
  if (labels) {
    await nv.loadFromArrayBuffer(labels, "regions.nii");
    nv.volumes[1]?.setColormapLabel(colours(known));
    nv.setOpacity(1, OPACITY);
  }
  setWindow(window);
  nv.setSliceType(SLICE_TYPE.MULTIPLANAR);
  let laid: { image: NVImage; phrase: string; method: string } | null = null;
  let last = 0;
  const lay = async (over: Overlay | null) => {
    const own = ++last;
    if (laid && (over?.phrase !== laid.phrase || over.method !== laid.method)) {
      nv.removeVolume(laid.image);
      laid = null;
    }
    if (!over) return;
    if (!laid) {
      const content = await bytes(known.uid, "phrase/map.nii", { phrase: over.phrase, method: over.method });
      if (own !== last) return; // another was asked for meanwhile
      await nv.loadFromArrayBuffer(content, "map.nii");
      laid = { image: nv.volumes[nv.volumes.length - 1]!, phrase: over.phrase, method: over.method };
    }
    const { image } = laid;
    [image.cal_min, image.cal_max] = over.kind === "map" ? [0, 1] : [over.threshold - 2 * EDGE, over.threshold - EDGE];
    nv.setColormap(image.id, over.kind === "map" ? "viridis" : "red");
    nv.setOpacity(nv.volumes.indexOf(image), over.kind === "mask" && over.presence < over.least ? 0 : MAP_OPACITY);
  };
  let fused: { image: NVImage; uid: string } | null = null;
  let lastFused = 0;
  const fuse = async (other: Fused | null) => {
    const own = ++lastFused;
    if (fused && fused.uid !== other?.uid) {
      nv.removeVolume(fused.image);
      fused = null;
    }
    if (!other) return;
    if (!fused) {
      const content = await bytes(other.uid, "volume.nii");
      if (own !== lastFused) return; // another was chosen meanwhile
      await nv.loadFromArrayBuffer(content, "over.nii");
      fused = { image: nv.volumes[nv.volumes.length - 1]!, uid: other.uid };
      nv.setColormap(fused.image.id, "hot");
    }
    [fused.image.cal_min, fused.image.cal_max] = [other.low, other.high];
    nv.setOpacity(nv.volumes.indexOf(fused.image), MAP_OPACITY);
  };
  return {
    views: Object.keys(VIEWS),
    setView: (name) => nv.setSliceType(VIEWS[name] ?? SLICE_TYPE.MULTIPLANAR),
    setWindow,
    lay,
    fuse,
    showRegions: (on) => labels && nv.setOpacity(1, on ? OPACITY : 0),
    close: () => {
      last++; // what is still on its way is not drawn: the canvas is gone
      lastFused++;
      nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
    },
  };
}

async function bytes(uid: string, name: string, query: Record<string, string> = {}): Promise<ArrayBuffer> {
  return (await reach(file(uid, name, query))).arrayBuffer();
}

/** Label n has the colour of the nth region. */
function colours(known: Known) {
  const channel = (at: number) => [0, ...known.regions.map((region) => parseInt(region.colour.slice(at, at + 2), 16))];
  return {
    R: channel(1), G: channel(3), B: channel(5), A: [0, ...known.regions.map(() => 255)],
    I: [0, ...known.regions.map((_, n) => n + 1)], labels: ["", ...known.regions.map((region) => region.phrase)],
  };
}

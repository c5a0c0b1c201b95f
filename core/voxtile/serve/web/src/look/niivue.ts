/** NiiVue over a volume and the labels of its regions. */

import { Niivue, SLICE_TYPE } from "@niivue/niivue";
import { file, type Known, type Shown } from "../api";

const VIEWS: Record<string, SLICE_TYPE> = {
  "three planes": SLICE_TYPE.MULTIPLANAR,
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  "in space": SLICE_TYPE.RENDER,
};
const OPACITY = 0.45;

export interface VolumeViewer {
  views: string[];
  setView(name: string): void;
  setWindow(window: { low: number; high: number }): void;
  showRegions(shown: boolean): void;
  close(): void;
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
  const nv = new Niivue({ backColor: [0, 0, 0, 1], isRadiologicalConvention: true, show3Dcrosshair: true, crosshairWidth: 0.4, crosshairWidthUnit: "percent", logLevel: "error", isOrientationTextVisible: true });
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
  return {
    views: Object.keys(VIEWS),
    setView: (name) => nv.setSliceType(VIEWS[name] ?? SLICE_TYPE.MULTIPLANAR),
    setWindow,
    showRegions: (on) => labels && nv.setOpacity(1, on ? OPACITY : 0),
    close: () => nv.gl.getExtension("WEBGL_lose_context")?.loseContext(),
  };
}

async function bytes(uid: string, name: string): Promise<ArrayBuffer> {
  const answer = await fetch(file(uid, name));
  if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.error ?? "The volume cannot be read.");
  return answer.arrayBuffer();
}

/** Label n has the colour of the nth region. */
function colours(known: Known) {
  const channel = (at: number) => [0, ...known.regions.map((region) => parseInt(region.colour.slice(at, at + 2), 16))];
  return {
    R: channel(1), G: channel(3), B: channel(5), A: [0, ...known.regions.map(() => 255)],
    I: [0, ...known.regions.map((_, n) => n + 1)], labels: ["", ...known.regions.map((region) => region.phrase)],
  };
}

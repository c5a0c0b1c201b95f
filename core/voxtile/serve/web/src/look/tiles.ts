/** Tiles of large pictures, as OpenSeadragon asks for them. */

import { file, type Zoomed } from "../api";

/** Tiles of the server for OpenSeadragon. */
export function tiles(uid: string, what: "slide" | "picture", size: Zoomed) {
  return {
    width: size.width, height: size.height, tileSize: size.tile, minLevel: 0, maxLevel: size.top,
    getTileUrl: (level: number, x: number, y: number) => file(uid, `${what}_files/${level}/${x}_${y}.jpeg`),
  };
}

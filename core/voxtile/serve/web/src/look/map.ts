/** Where the samples lie on the ground: footprints over a graticule; no map is fetched from elsewhere. */

import L from "leaflet";
import "leaflet/dist/leaflet.css";
import { html, nothing, render } from "lit";
import { lookAddress } from "../address";
import { ask } from "../api";

const LISTED = 200;

interface Footprint {
  type: "Feature";
  geometry: GeoJSON.Geometry;
  properties: { uid: string; modality: string | null; datetime: string | null };
}

interface Found {
  type: "FeatureCollection";
  total: number;
  inside: number;
  features: Footprint[];
}

export async function mapPage(root: HTMLElement): Promise<() => void> {
  document.title = "Map – voxtile";
  let found = await ask<Found>("footprints");
  if (!found.features.length) {
    render(html`<h1>Map</h1><p class="notice" role="status">No sample of this corpus has a place on the ground.</p>`, root);
    return () => {};
  }
  const name = (one: Footprint) => [one.properties.modality, one.properties.datetime, one.properties.uid.slice(0, 12)].filter(Boolean).join(" · ");
  const many = (count: number) => count.toLocaleString("en");
  const said = () => {
    const hidden = found.inside - found.features.length;
    const part = found.inside < found.total ? `, ${many(found.inside)} in this part` : "";
    return `${many(found.total)} samples with a place${part}${hidden > 0 ? `; ${many(hidden)} are not drawn: closer to the ground, all are` : ""}`;
  };
  const draw = () =>
    render(
      html`<h1>Map</h1><p class="soft"><span role="status">${said()}</span> <output class="soft" aria-live="off"></output></p>
        <div class="canvas map" role="group" aria-label="Footprints; plus, minus and arrow keys move the map"></div>
        <details><summary>As a list</summary><ul>${found.features.slice(0, LISTED).map((one) => html`<li><a href=${lookAddress(one.properties.uid)}>${name(one)}</a></li>`)}</ul>
          ${found.features.length > LISTED ? html`<p class="soft">the first ${LISTED}</p>` : nothing}</details>`,
      root,
    );
  draw();
  const style = getComputedStyle(document.documentElement);
  const map = L.map(root.querySelector(".map") as HTMLElement, { crs: L.CRS.EPSG4326, attributionControl: false, preferCanvas: true, worldCopyJump: true });
  graticule(style.getPropertyValue("--edge").trim() || "#888").addTo(map);
  const footprints = L.geoJSON(found as unknown as GeoJSON.FeatureCollection, {
    style: { color: style.getPropertyValue("--accent").trim() || "#2a78d6", weight: 2, fillOpacity: 0.15 },
    onEachFeature: (feature, layer) => {
      const one = feature as unknown as Footprint;
      layer.bindTooltip(Object.assign(document.createElement("span"), { textContent: name(one) }), { sticky: true });
      layer.on("click", () => (location.hash = lookAddress(one.properties.uid)));
    },
  }).addTo(map);
  const output = root.querySelector("output") as HTMLElement;
  map.on("mousemove", ({ latlng }) => (output.textContent = `${Math.abs(latlng.lat).toFixed(3)}° ${latlng.lat < 0 ? "S" : "N"}, ${Math.abs(latlng.lng).toFixed(3)}° ${latlng.lng < 0 ? "W" : "E"}`));
  map.fitBounds(footprints.getBounds(), { maxZoom: 12, padding: [20, 20] });
  let asked = 0;
  const look = async () => {
    const own = ++asked;
    const seen = map.getBounds();
    const edge = (value: number, most: number) => String(Math.max(-most, Math.min(most, value)));
    const part = { west: edge(seen.getWest(), 180), south: edge(seen.getSouth(), 90), east: edge(seen.getEast(), 180), north: edge(seen.getNorth(), 90) };
    const there = await ask<Found>(`footprints?${new URLSearchParams(part)}`);
    if (own !== asked) return; // the map was moved on meanwhile
    found = there;
    footprints.clearLayers().addData(there as unknown as GeoJSON.FeatureCollection);
    draw();
  };
  if (found.inside > found.features.length) map.on("moveend", () => void look().catch(() => {})); // else all are there
  return () => map.remove();
}

/** Meridians and parallels every ten degrees. */
function graticule(color: string): L.LayerGroup {
  const lines: L.Polyline[] = [];
  const line = (points: L.LatLngTuple[]) => lines.push(L.polyline(points, { color, weight: 0.5, interactive: false }));
  for (let east = -180; east <= 180; east += 10) line([[-90, east], [90, east]]);
  for (let north = -90; north <= 90; north += 10) line([[north, -180], [north, 180]]);
  return L.layerGroup(lines);
}

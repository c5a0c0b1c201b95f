/** What is shown, as the part of the address behind `#`, so that pages can be kept, sent and gone back to. */

export interface Search {
  words: string;
  like: string;
  /** With `like`: the part that is meant, in pixel edges and array order; on a plane of a volume, `direction:place`. */
  box: number[];
  plane: string;
  /** Name of an image that was sent to the server. */
  image: string;
  where: string;
  facts: { concept: string; polarity: string }[];
  page: number;
}

/** Cases behind one figure of a report. */
export interface CasesAddress {
  report: number;
  task: string;
  model: string;
  name: string;
  order: string;
  other: string;
  page: number;
}

export type Place =
  | { page: "find"; search: Search }
  | { page: "look"; uid: string }
  | { page: "slide"; uid: string }
  | { page: "region"; uid: string }
  | { page: "map" }
  | { page: "judge" }
  | { page: "reports"; cases: CasesAddress | null }
  | { page: "dropped"; reason: string; number: number };

export const JUDGE = "#/judge";
export const MAP = "#/map";

export const EVERYTHING: Search = { words: "", like: "", box: [], plane: "", image: "", where: "", facts: [], page: 1 };

export function readPlace(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [kind, uid] = path.split("/");
  if (kind === "sample" && uid) return { page: "look", uid: decodeURIComponent(uid) };
  if (kind === "slide" && uid) return { page: "slide", uid: decodeURIComponent(uid) };
  if (kind === "map") return { page: "map" };
  if (kind === "region" && uid) return { page: "region", uid: decodeURIComponent(uid) };
  if (kind === "judge") return { page: "judge" };
  const given = new URLSearchParams(query);
  const page = Number(given.get("page") ?? 1);
  const number = Number.isInteger(page) && page > 0 ? page : 1;
  if (kind === "dropped") return { page: "dropped", reason: given.get("reason") ?? "", number };
  if (kind === "reports") return { page: "reports", cases: given.has("task") ? readCases(given, number) : null };
  return {
    page: "find",
    search: {
      words: given.get("words") ?? "",
      like: given.get("like") ?? "",
      box: (given.get("box") ?? "").split(",").filter(Boolean).map(Number).filter(Number.isFinite),
      plane: given.get("plane") ?? "",
      image: given.get("image") ?? "",
      where: given.get("where") ?? "",
      facts: given.getAll("fact").map((fact) => {
        const [polarity = "present", ...concept] = fact.split(":");
        return { polarity, concept: concept.join(":") };
      }),
      page: number,
    },
  };
}

export function findAddress(search: Partial<Search>): string {
  const given = new URLSearchParams();
  for (const name of ["words", "like", "plane", "image", "where"] as const) if (search[name]) given.set(name, search[name]);
  if (search.box?.length) given.set("box", search.box.join(","));
  for (const fact of search.facts ?? []) given.append("fact", `${fact.polarity}:${fact.concept}`);
  if ((search.page ?? 1) > 1) given.set("page", String(search.page));
  const query = given.toString();
  return `#/${query ? `?${query}` : ""}`;
}

export function lookAddress(uid: string): string {
  return `#/sample/${encodeURIComponent(uid)}`;
}

export function regionAddress(uid: string): string {
  return `#/region/${encodeURIComponent(uid)}`;
}

export function slideAddress(uid: string): string {
  return `#/slide/${encodeURIComponent(uid)}`;
}

function readCases(given: URLSearchParams, page: number): CasesAddress {
  const said = (name: string) => given.get(name) ?? "";
  return { report: Number(said("report")) || 0, task: said("task"), model: said("model"), name: said("name"), order: said("order"), other: said("other"), page };
}

export function reportsAddress(cases: CasesAddress | null): string {
  if (!cases) return "#/reports";
  return `#/reports?${new URLSearchParams(Object.entries(cases).map(([key, value]) => [key, String(value)]))}`;
}

export function droppedAddress(reason: string, page: number): string {
  const query = new URLSearchParams({ ...(reason ? { reason } : {}), ...(page > 1 ? { page: String(page) } : {}) }).toString();
  return `#/dropped${query ? `?${query}` : ""}`;
}

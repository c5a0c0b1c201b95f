/** What is shown, as the part of the address behind `#`, so that pages can be kept, sent and gone back to. */

export interface Search {
  words: string;
  like: string;
  where: string;
  facts: { concept: string; polarity: string }[];
  page: number;
}

export type Place = { page: "find"; search: Search } | { page: "look"; uid: string } | { page: "judge" };

export const JUDGE = "#/judge";

export const EVERYTHING: Search = { words: "", like: "", where: "", facts: [], page: 1 };

export function readPlace(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [kind, uid] = path.split("/");
  if (kind === "sample" && uid) return { page: "look", uid: decodeURIComponent(uid) };
  if (kind === "judge") return { page: "judge" };
  const given = new URLSearchParams(query);
  const page = Number(given.get("page") ?? 1);
  return {
    page: "find",
    search: {
      words: given.get("words") ?? "",
      like: given.get("like") ?? "",
      where: given.get("where") ?? "",
      facts: given.getAll("fact").map((fact) => {
        const [polarity = "present", ...concept] = fact.split(":");
        return { polarity, concept: concept.join(":") };
      }),
      page: Number.isInteger(page) && page > 0 ? page : 1,
    },
  };
}

export function findAddress(search: Partial<Search>): string {
  const given = new URLSearchParams();
  for (const name of ["words", "like", "where"] as const) if (search[name]) given.set(name, search[name]);
  for (const fact of search.facts ?? []) given.append("fact", `${fact.polarity}:${fact.concept}`);
  if ((search.page ?? 1) > 1) given.set("page", String(search.page));
  const query = given.toString();
  return `#/${query ? `?${query}` : ""}`;
}

export function lookAddress(uid: string): string {
  return `#/sample/${encodeURIComponent(uid)}`;
}

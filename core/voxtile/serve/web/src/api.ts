/** The server's interface: its answers as types, and requests that fail with a sentence. */

export interface About {
  version: string;
  samples: number;
  groups: { kind: string; modality: string | null; samples: number }[];
  concepts: { concept: string; present: number; absent: number; uncertain: number }[];
  model: Model | null;
}

export interface Model {
  name: string;
  searched: number;
  approximate: boolean;
  recall: { images: number; words: number | null; looked_at: number } | null;
  making: { what: string; done: number; total: number; problem: string | null } | null;
  modalities: string[];
}

export interface Card {
  uid: string;
  number: number;
  kind: string;
  modality: string | null;
  units: string | null;
  shape: number[];
  subject: string;
  study: string | null;
  datetime: string | null;
  text: string | null;
  present: string[];
  uncertain: string[];
  cosine: number | null;
}

export interface Page {
  samples: Card[];
  offset: number;
  total: number;
  matching: number;
  exact: boolean | null;
  milliseconds: number;
}

export interface Alike {
  duplicates: { card: Card; differing_bits: number | null; cosine: number | null }[];
  neighbours: Card[];
  compared_by: string[];
}

export interface Question {
  words: string;
  like: string;
  where: string;
  facts: { concept: string; polarity: string }[];
  offset: number;
  limit: number;
}

export interface Region {
  region_id: string;
  phrase: string;
  box: number[] | null;
  has_mask: boolean;
  colour: string;
}

export interface Caption {
  caption_id: string;
  kind: string;
  lang: string | null;
  origin: string;
  of_study: boolean;
  pieces: { text: string; polarity: string | null; concepts: string }[];
  verdicts: { verdict: string; detail: string | null; checker: string | null; version: string | null }[];
}

export interface Fact {
  concept: string;
  polarity: string;
  value: number | null;
  unit: string | null;
  details: string;
  region_id: string | null;
  source: string | null;
}

export interface Known {
  uid: string;
  number: number;
  sample: Record<string, unknown>;
  split: string | null;
  captions: Caption[];
  facts: Fact[];
  regions: Region[];
  scopes: { vocabulary: string; closed: boolean; concepts: string[] | null }[];
  ledger: { status: string; reason: string | null }[];
  study: string[];
  subject: string[];
}

export interface Shown {
  stacks: { name: string; count: number; width_mm: number; height_mm: number }[];
  windows: { name: string; low: number; high: number }[];
  width: number | null;
  height: number | null;
  bands: string[];
  forms: string[];
}

/** The model that answers phrases and classes. */
export interface ShownBy {
  name: string;
  methods: string[];
  trained_by: "softmax" | "sigmoid";
}

export interface Believed {
  presence: number;
  method: string;
  forms: string[];
}

export interface Scored {
  trained_by: "softmax" | "sigmoid";
  scores: { name: string; cosine: number; probability: number }[];
}

export interface Figure {
  task: string;
  model: string;
  kind: string;
  class_name: string | null;
  metric: string;
  value: number | null;
  low: number | null;
  high: number | null;
  n: number;
  positives: number;
}

export interface Listed {
  number: number;
  has_cases: boolean;
  has_page: boolean;
  models: string[];
  figures: Figure[];
}

export interface ShownCases {
  cases: { uid: string; label: number; score: number; rank: number; other_score: number | null; other_rank: number | null; card: Card | null }[];
  offset: number;
  total: number;
}

export interface Dropped {
  used: number;
  reasons: { status: string; reason: string; error_class: string | null; inputs: number; parts: number }[];
  inputs: { status: string; reason: string; error_class: string | null; attempt: number; uid: string | null; is_part: boolean; is_sample: boolean }[];
  offset: number;
  total: number;
}

/** A volume of the same study that can be laid over another. */
export interface Companion {
  uid: string;
  modality: string | null;
  units: string | null;
  shape: number[];
  window: { name: string; low: number; high: number };
}

/** A picture in tiles, and where the sample lies in it. */
export interface Zoomed {
  width: number;
  height: number;
  tile: number;
  top: number;
  origin: "file" | "patches" | "sample";
  note: string;
  box: number[];
  patches: number;
}

export interface Outlined {
  uid: string;
  phrase: string | null;
  colour: string | null;
  box: number[];
}

/** What answers chats about samples. */
export interface Assistant {
  model: string;
  report_question: string;
  answers_questions: boolean;
  least: number;
  warning: string;
}

export interface Claim {
  text: string;
  support: number | null;
}

export interface RestsOn {
  claims: Claim[];
  confidence: number;
  withheld: boolean;
  notes: string[];
  warning: string;
}

/** A piece of an answer; the last one says what it rests on, and why it ended. */
export interface ChatPiece {
  text: string;
  rests: RestsOn | null;
  finished: string | null;
}

/** A request was refused; `message` is for people. */
export class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

const SAID: Record<number, string> = {
  401: "The token is missing, wrong or over; open the address that voxtile serve printed.",
  403: "The server does not answer to this address; open the one that it printed.",
  404: "There is no such sample.",
  413: "That is more than the server reads at once; ask for less.",
  414: "That is more than the server reads at once; ask for less.",
  503: "The server has too much to do; try again in a moment.",
};

export async function ask<T>(path: string, body?: unknown): Promise<T> {
  return request<T>(
    path,
    body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) },
  );
}

/** Send a file to search by; the name under which the server holds what it needs of it. */
export async function sendImage(image: File, modality: string): Promise<string> {
  const query = new URLSearchParams({ name: image.name, ...(modality ? { modality } : {}) });
  const headers = { "Content-Type": "application/octet-stream" };
  return (await request<{ image: string }>(`images?${query}`, { method: "POST", headers, body: image })).image;
}

async function request<T>(path: string, init: RequestInit): Promise<T> {
  return (await (await reach(`api/${path}`, init)).json()) as T;
}

/** An answer that is none of a refusal. */
export async function reach(address: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(address, init);
  } catch {
    throw new Refused(0, "The server does not answer; look whether voxtile serve still runs.");
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    throw new Refused(answer.status, said?.error ?? SAID[answer.status] ?? `The server answered ${answer.status}.`);
  }
  return answer;
}

/** An answer of the assistant as it is written: server-sent events, as OpenAI's interface has them. */
export async function* streamChat(model: string, messages: unknown[], signal: AbortSignal): AsyncGenerator<ChatPiece> {
  const body = JSON.stringify({ model, messages, stream: true });
  const answer = await fetch("v1/chat/completions", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
  if (!answer.ok || !answer.body) {
    const said = await answer.json().catch(() => null);
    throw new Refused(answer.status, said?.error?.message ?? SAID[answer.status] ?? `The server answered ${answer.status}.`);
  }
  for await (const event of events(answer.body)) {
    if (event === "[DONE]") return;
    const chunk = JSON.parse(event);
    if (chunk.error) throw new Refused(500, String(chunk.error.message));
    const choice = chunk.choices[0];
    yield { text: choice?.delta.content ?? "", rests: chunk.voxtile ?? null, finished: choice?.finish_reason ?? null };
  }
  throw new Refused(0, "The answer broke off; look whether voxtile serve still runs.");
}

/** The data of server-sent events, each on one line. */
async function* events(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += decoder.decode(value, { stream: true });
    const lines = held.split("\n");
    held = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: ")) yield line.slice(6);
  }
}

/** Address of a picture or file of a sample. */
export function file(uid: string, name: string, query: Record<string, string | number | boolean> = {}): string {
  const asked = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)])).toString();
  return `api/samples/${encodeURIComponent(uid)}/${name}${asked ? `?${asked}` : ""}`;
}

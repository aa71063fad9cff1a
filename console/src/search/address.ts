/** Searches in the address of the page: words and filters by the names that the service gives them. */

const SINGLE = ["role", "author", "tool", "config_id", "session_id", "created_after", "created_before"] as const;

/** A filter that has one value. */
export type FilterName = (typeof SINGLE)[number];

/** A search as somebody wants it. */
export interface Wanted extends Partial<Record<FilterName, string>> {
  q: string;
  tag: string[];
  sort: "rank" | "recent";
}

/** Returns the search that the query of an address stands for. */
export function wantedOf(query: string): Wanted {
  const given = new URLSearchParams(query);
  const wanted: Wanted = {
    q: given.get("q") ?? "",
    tag: given.getAll("tag").filter(Boolean),
    sort: given.get("sort") === "recent" ? "recent" : "rank",
  };
  for (const name of SINGLE) {
    const value = given.get(name);
    if (value) wanted[name] = value;
  }
  return wanted;
}

/** Returns the address of a search within the console. */
export function searchPath(wanted: Partial<Wanted>): string {
  const query = new URLSearchParams();
  if (wanted.q) query.set("q", wanted.q);
  for (const name of SINGLE) if (wanted[name]) query.set(name, wanted[name]);
  for (const tag of wanted.tag ?? []) query.append("tag", tag);
  if (wanted.sort === "recent") query.set("sort", wanted.sort);
  return query.size ? `/search?${query}` : "/search";
}

/** Returns the address of a hit: its message in the transcript, or the session if its title or tags match. */
export function hitPath(sessionId: string, seq: number | null): string {
  const session = `/sessions/${encodeURIComponent(sessionId)}`;
  return seq === null ? session : `${session}?seq=${seq}`;
}

/** Returns whether the search is narrowed. */
export function isFiltered(wanted: Wanted): boolean {
  return wanted.tag.length > 0 || SINGLE.some((name) => wanted[name]);
}

/** Returns whether a filter leaves messages only, so that no list of sessions goes with it. */
export function ofMessages({ role, author, tool, created_after, created_before }: Wanted): boolean {
  return Boolean(role || author || tool || created_after || created_before);
}

/** The filters and the order of the list, which the address of the page carries. */

import type { paths } from "amplifier-client/openapi";
import type { Order } from "./rows";

type Query = NonNullable<paths["/sessions"]["get"]["parameters"]["query"]>;

export interface Filters {
  whose: "" | "mine" | "shared";
  status: string;
  config: string;
  tags: string[];
  unread: boolean;
  /** Days of the reader's calendar, as `2026-05-20`: the first and the last on which sessions were changed. */
  from: string;
  to: string;
  sort: string;
}

export const STATUSES = ["active", "completed", "failed", "cancelled"] as const;

export const SORTS: Record<string, Order & { name: string }> = {
  "": { name: "Last changed first", sort: "updated_at", order: "desc" },
  oldest: { name: "Longest unchanged first", sort: "updated_at", order: "asc" },
  created: { name: "Newest first", sort: "created_at", order: "desc" },
  first: { name: "Oldest first", sort: "created_at", order: "asc" },
};

/** Returns the filters of an address; what it cannot mean is left out. */
export function filtersOf(search: string): Filters {
  const given = new URLSearchParams(search);
  const one = (name: string, allowed: readonly string[]) => allowed.find((value) => value === given.get(name)) ?? "";
  const day = (name: string) => (Number.isNaN(Date.parse(given.get(name) ?? "")) ? "" : given.get(name)!.slice(0, 10));
  return {
    whose: one("whose", ["mine", "shared"]) as Filters["whose"],
    status: one("status", STATUSES),
    config: given.get("config") ?? "",
    tags: given.getAll("tag").filter((tag) => tag.includes(":")),
    unread: given.get("unread") === "yes",
    from: day("from"),
    to: day("to"),
    sort: one("sort", Object.keys(SORTS)),
  };
}

/** Returns the address of filters, from the question mark on. */
export function searchOf({ whose, status, config, tags, unread, from, to, sort }: Filters): string {
  const pairs = Object.entries({ whose, status, config, unread: unread ? "yes" : "", from, to, sort });
  const given = [...pairs.filter(([, value]) => value), ...tags.map((tag) => ["tag", tag])] as [string, string][];
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** Returns how many filters are set. */
export function countFilters({ whose, status, config, tags, unread, from, to }: Filters): number {
  return [whose, status, config, unread, from, to].filter(Boolean).length + tags.length;
}

/** Returns the parameters of the service's list. */
export function queryOf(filters: Filters): Query {
  const { sort, order } = orderOf(filters);
  const { whose, status, config, tags, unread, from, to } = filters;
  return {
    ...{ sort, order, include: ["participants,preview,run"] },
    ...(whose === "mine" && { owned: true }),
    ...(whose === "shared" && { shared: true }),
    ...(status && { status: status as Query["status"] }),
    ...(config && { config_id: config }),
    ...(tags.length && { tag: tags }),
    ...(unread && { unread: true }),
    ...(from && { updated_after: midnight(from, 0) }),
    ...(to && { updated_before: midnight(to, 1) }),
  };
}

/** Returns the order that filters ask for. */
export function orderOf({ sort }: Filters): Order {
  return SORTS[sort]!;
}

/** Returns the moment at which a day of the reader's calendar begins, or one that many days later. */
function midnight(day: string, later: number): string {
  const [year, month, date] = day.split("-").map(Number) as [number, number, number];
  return new Date(year, month - 1, date + later).toISOString();
}

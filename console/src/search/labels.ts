/** Names of filters and their values, as people read them. */

import type { FilterName, Wanted } from "./address";
import type { Facets } from "./results";

const MONTH = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric", timeZone: "UTC" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const NAMES: Record<FilterName, string> = {
  role: "Role",
  author: "Author",
  tool: "Tool",
  config_id: "Config",
  session_id: "Session",
  created_after: "From",
  created_before: "Before",
};

/** Returns the two times of a month such as `2026-05`. */
export function periodOf(month: string): { created_after: string; created_before: string } {
  const [year, number] = month.split("-").map(Number) as [number, number];
  const next = new Date(Date.UTC(year, number, 1)).toISOString().slice(0, 10);
  return { created_after: `${month}-01T00:00Z`, created_before: `${next}T00:00Z` };
}

export function monthName(month: string): string {
  return MONTH.format(new Date(`${month}-01T00:00Z`));
}

/** Returns the month of two times if they are one. */
export function monthOf({ created_after, created_before }: Wanted): string | null {
  const month = created_after?.slice(0, 7) ?? "";
  if (!/^\d{4}-\d\d$/.test(month)) return null;
  const period = periodOf(month);
  return created_after === period.created_after && created_before === period.created_before ? month : null;
}

function dayName(time: string): string {
  const moment = new Date(time);
  return Number.isNaN(moment.getTime()) ? time : DAY.format(moment);
}

export interface ActiveFilter {
  text: string;
  /** The search without it. */
  without: Wanted;
}

/** Returns the filters that narrow a search. `title` is that of the session if there is only one. */
export function activeFilters(wanted: Wanted, facets: Facets | null, title: string | null): ActiveFilter[] {
  const month = monthOf(wanted);
  const filters: ActiveFilter[] = [];
  for (const [name, label] of Object.entries(NAMES) as [FilterName, string][]) {
    const value = wanted[name];
    if (!value || (month && name.startsWith("created_"))) continue;
    const without = { ...wanted, [name]: undefined };
    filters.push({ text: `${label}: ${valueName(name, value, facets, title)}`, without });
  }
  if (month) {
    const without = { ...wanted, created_after: undefined, created_before: undefined };
    filters.push({ text: `Month: ${monthName(month)}`, without });
  }
  for (const tag of wanted.tag) {
    filters.push({ text: `Tag: ${tag}`, without: { ...wanted, tag: wanted.tag.filter((one) => one !== tag) } });
  }
  return filters;
}

function valueName(name: FilterName, value: string, facets: Facets | null, title: string | null): string {
  if (name.startsWith("created_")) return dayName(value);
  if (name === "config_id") return facets?.config.find((one) => one.value === value)?.name ?? value;
  return name === "session_id" && title ? title : value;
}

/** JSON as configs need it: numbers stay as they were written, and values are reached by their path. */

/** A number whose text JavaScript would write otherwise: `1.0`, or an integer beyond 2^53. */
interface RawJson {
  rawJSON: string;
}

type Reviver = (key: string, value: unknown, context?: { source?: string }) => unknown;
const native = JSON as unknown as { rawJSON?: (text: string) => RawJson; isRawJSON?: (value: unknown) => boolean };

export type Path = readonly (string | number)[];

/** Returns the value of a JSON text. Throws SyntaxError. */
export function parse(text: string): unknown {
  const revive: Reviver = (_key, value, context) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source && native.rawJSON
      ? native.rawJSON(context.source)
      : value;
  return JSON.parse(text, revive);
}

/** Returns the text of a value, indented for people. */
export function print(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !native.isRawJSON?.(value);
}

/** Returns the value at a path, undefined if there is none. */
export function at(value: unknown, path: Path): unknown {
  let found = value;
  for (const key of path) {
    if (Array.isArray(found) && typeof key === "number") found = found[key];
    else if (isObject(found) && Object.hasOwn(found, key)) found = found[key];
    else return undefined;
  }
  return found;
}

/** Returns a copy with another value at a path. Undefined takes it away, and what it leaves empty around it. */
export function put(value: unknown, path: Path, item: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return item;
  const inner = put(at(value, [key]), rest, item);
  if (typeof key === "number") {
    const list = Array.isArray(value) ? value : [];
    return inner === undefined ? list.filter((_, index) => index !== key) : Object.assign([...list], { [key]: inner });
  }
  const object = isObject(value) ? value : {};
  if (inner !== undefined) return { ...object, [key]: inner };
  const others = Object.entries(object).filter(([one]) => one !== key);
  return others.length > 0 ? Object.fromEntries(others) : undefined;
}

/** Returns a text or number as a field shows it, or null for what no field can show. */
export function shown(value: unknown): string | null {
  if (value === undefined || value === null) return "";
  if (native.isRawJSON?.(value)) return (value as RawJson).rawJSON;
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}

/** Returns a path as problems name it: `config_data.providers[0].module`. */
export function placeOf(path: Path): string {
  return path.reduce<string>((place, key) => place + (typeof key === "number" ? `[${key}]` : `.${key}`), "config_data");
}

const FIRST = ["bundle", "session", "providers", "tools", "hooks", "module", "name"];
const rank = (key: string) => (FIRST.includes(key) ? FIRST.indexOf(key) : FIRST.length);

/** Returns a copy in the order in which people write configs. The database orders keys by their length. */
export function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).sort(([one], [other]) => rank(one) - rank(other));
  return Object.fromEntries(entries.map(([key, item]) => [key, ordered(item)]));
}

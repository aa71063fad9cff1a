/** Joins names of classes; what is not given is left out. */
export function classes(...names: unknown[]): string {
  return names.filter((name) => typeof name === "string" && name).join(" ");
}

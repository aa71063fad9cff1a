/** Addresses of scripts that the page may start, as Trusted Types demand: its own workers, which the build names. */

interface Policy {
  createScriptURL: (url: string) => unknown;
}

interface Factory {
  createPolicy: (name: string, rules: { createScriptURL: (url: string) => string }) => Policy;
}

const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
let policy: Policy | undefined;

/** Returns the address of a worker's script, which is a file of the page itself. */
export function trustedScript(address: string): URL {
  const url = new URL(address, import.meta.url);
  if (url.origin !== location.origin) throw new Error("the script of a worker is no file of the page");
  policy ??= factory?.createPolicy("amplifier", { createScriptURL: (given) => given });
  return (policy?.createScriptURL(url.href) ?? url.href) as URL;
}

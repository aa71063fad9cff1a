/** Where the page and the service are mounted. */

/** The path of the console without the slash at its end, as `/console`. */
export const BASE = import.meta.env.DEV
  ? "/console"
  : new URL(/* @vite-ignore */ "..", import.meta.url).pathname.replace(/\/$/, "");

/** The address of the service, as `https://host` or `https://host/prefix`. */
export const SERVICE = location.origin + BASE.replace(/\/console$/, "");

/** Secrets in configs. The service encrypts them and shows `enc:...`; without a key of its own it shows them in clear. */

import { isObject } from "./json";

const ENCRYPTED = /^enc:[A-Za-z0-9_=-]{20,}$/;
const REFERENCE = /^\$\{[^{}]*\}$/;
const NAMES =
  /api[^a-z0-9]*key|secret|passw|passphrase|token|credential|(private|access|auth|subscription)[^a-z0-9]*key|connection[^a-z0-9]*string|authorization|cookie|default[^a-z0-9]*headers|(^|[^a-z0-9])auth$/i;

/** Returns whether a text is a secret that the service encrypted. Sent back as it is, it stays the same secret. */
export function isEncrypted(value: unknown): boolean {
  return typeof value === "string" && ENCRYPTED.test(value);
}

/** Returns whether a text is the name of a secret that the service knows: `${NAME}`. */
export function isReference(value: unknown): boolean {
  return typeof value === "string" && REFERENCE.test(value);
}

/** Returns whether the value below a key is a secret, by the rules of docs/authentication.md. */
export function namesSecret(key: string): boolean {
  return NAMES.test(key);
}

/** Returns a function that puts marks in place of secrets: the same mark for the same secret. */
export function masker(): (value: unknown) => unknown {
  const marks = new Map<string, string>();
  function mark(text: string): string {
    if (!marks.has(text)) marks.set(text, `••••• (secret ${marks.size + 1})`);
    return marks.get(text)!;
  }
  function masked(value: unknown, secret: boolean): unknown {
    if (typeof value === "string") {
      return isEncrypted(value) || (secret && value && !isReference(value)) ? mark(value) : value;
    }
    if (Array.isArray(value)) return value.map((item) => masked(item, secret));
    if (!isObject(value)) return value;
    const entries = Object.entries(value).map(([key, item]) => [key, masked(item, secret || namesSecret(key))]);
    return Object.fromEntries(entries);
  }
  return (value) => masked(value, false);
}

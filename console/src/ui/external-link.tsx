/** Addresses in what people and agents said: they open only after a question that shows them. */

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { CopyButton } from "./copy-button";
import { Dialog } from "./dialog";
import styles from "./external-link.module.css";

const PROTOCOLS = ["http:", "https:", "mailto:"];
const asked = signal<URL | null>(null);

/** Returns an address that may be opened, or null: of other protocols, within the page, or none. */
export function openable(address: string): URL | null {
  const url = URL.canParse(address) ? new URL(address) : null;
  return url && PROTOCOLS.includes(url.protocol) ? url : null;
}

/** Asks whether to open an address. */
export function ask(url: URL): void {
  asked.value = url;
}

/** A link. Where it leads nowhere that may be opened, its text. */
export function ExternalLink({ address, children }: { address: string; children: ComponentChildren }) {
  const url = openable(address);
  if (!url)
    return (
      <span class={styles.dead} title={address}>
        {children}
      </span>
    );
  const open = () => ask(url);
  return (
    <span
      role="link"
      tabIndex={0}
      class={styles.link}
      title={url.href}
      onClick={open}
      onKeyDown={(event) => event.key === "Enter" && open()}
    >
      {children}
    </span>
  );
}

/** The question, once on a page. */
export function LinkDialog() {
  const url = asked.value;
  const close = () => (asked.value = null);
  if (!url) return null;
  return (
    <Dialog title="Open this address?" onClose={close}>
      <p>
        The address comes from the transcript. It opens in a new tab of{" "}
        <strong class={styles.host}>{url.host || url.pathname}</strong>.
      </p>
      <p class={styles.address} dir="ltr">
        {url.href}
      </p>
      <div class={styles.actions}>
        <CopyButton text={url.href} what="address" />
        <a href={url.href} target="_blank" rel="noopener noreferrer" class={styles.open} onClick={close}>
          Open in a new tab
        </a>
      </div>
    </Dialog>
  );
}

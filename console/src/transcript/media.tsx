/** Images, files and recordings: nothing is loaded before a click, and nothing from other hosts at all. */

import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { answer, api } from "../api/client";
import { Button } from "../ui/button";
import { ask, openable } from "../ui/external-link";
import { sizeOf } from "./cut";
import type { Media } from "./reading/parts";
import styles from "./media.module.css";

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"]; // no SVG: it may contain scripts
const ATTACHMENT = /^amplifier:sha256\/([0-9a-f]{64})$/;
const DATA = /^data:([^;,]*)(?:;[^;,]*){0,5};base64,/i;
const NAMES = { image: "image", file: "file", audio: "recording" };

/** The session whose attachments are meant. */
export const SessionId = createContext("");

/** A picture that Markdown names by its address. */
export function Picture({ address, name }: { address: string; name: string }) {
  const match = DATA.exec(address);
  const place = match
    ? { media_type: match[1] || null, url: null, data: address.slice(match[0].length) }
    : { media_type: null, url: address, data: null };
  return <MediaView media={{ type: "image", ...place, name }} />;
}

/** A part that is no text: a button that shows it, saves it, or asks to open its address. */
export function MediaView({ media }: { media: Media }) {
  const session = useContext(SessionId);
  const [shown, setShown] = useState<string | null>(null);
  useEffect(() => () => void (shown && URL.revokeObjectURL(shown)), [shown]);
  const what = NAMES[media.type];
  const name = media.name ?? what;
  if (shown) return <img class={styles.image} src={shown} alt={name} />;
  const { url, data } = media;
  const digest = url === null ? null : ATTACHMENT.exec(url)?.[1];
  const link = url === null ? null : openable(url);
  async function show() {
    const blob = data !== null ? decoded(data, media.media_type) : await attachment(session, digest!);
    if (PICTURES.includes(blob.type)) setShown(URL.createObjectURL(blob));
    else save(blob, name);
  }
  return (
    <span class={styles.media}>
      {link ? (
        <Button onClick={() => ask(link)}>Open {what} elsewhere</Button>
      ) : (
        (data !== null || digest) && (
          <Button onClick={show}>{isPicture(media) ? `Show ${what}` : `Save ${what}`}</Button>
        )
      )}
      <span class={styles.about} dir="auto">
        {about(media).join(" · ")}
      </span>
    </span>
  );
}

function isPicture({ type, media_type }: Media): boolean {
  return type === "image" && (media_type === null || PICTURES.includes(media_type));
}

function about({ name, type, media_type, url, data, file_id }: Media): string[] {
  const size = data === null ? null : sizeOf(Math.round(data.length * 0.75)).replace("characters", "bytes");
  const place = url !== null && !ATTACHMENT.test(url) ? url.slice(0, 200) : null;
  const id = file_id ? `kept by its provider as ${file_id}` : null;
  return [name || NAMES[type], media_type, size, place, id].filter((one) => one !== null);
}

/** Returns base64 as bytes. The type of a picture is what its bytes say. */
function decoded(data: string, media_type: string | null): Blob {
  const bytes = Uint8Array.from(atob(data.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  return new Blob([bytes], { type: typeOf(bytes) ?? (media_type?.startsWith("image/") ? "" : (media_type ?? "")) });
}

function typeOf(bytes: Uint8Array): string | null {
  const start = String.fromCharCode(...bytes.slice(0, 12));
  if (start.startsWith("\x89PNG")) return "image/png";
  if (start.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (start.startsWith("GIF8")) return "image/gif";
  return start.startsWith("RIFF") && start.endsWith("WEBP") ? "image/webp" : null;
}

async function attachment(session_id: string, sha256: string): Promise<Blob> {
  const params = { path: { session_id, sha256 } };
  const request = api.GET("/sessions/{session_id}/attachments/{sha256}", { params, parseAs: "arrayBuffer" });
  const bytes = new Uint8Array((await answer(request)) as unknown as ArrayBuffer);
  return new Blob([bytes], { type: typeOf(bytes) ?? "application/octet-stream" });
}

/** Saves bytes as a file. The browser does not open it. */
export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  link.download = name.replace(/[^\p{L}\p{N}. _-]+/gu, "_").slice(0, 100) || "file";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

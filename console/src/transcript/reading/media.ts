/** Reads the images, files and recordings of messages, as `amplifier/transcripts/media.py`. */

import { type Block, isObject, type Media, textOf } from "./parts";

const DATA = /^data:([^;,]*)(?:;[^;,]*)*?;base64,/i;
const PREFIXES = ["data:", "http://", "https://"]; // of addresses where base64 should be
const BEGINNINGS = [
  ["iVBOR", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
] as const;
const SOURCES = ["source", "file", "image_url", "input_audio", "audio", "inlineData", "inline_data"].concat(
  ["fileData", "file_data", "image", "document", "video", "resource", "s3Location"], // what holds the content
);
const TYPES = ["media_type", "mediaType", "mimeType", "mime_type", "mime"];
const ADDRESSES = ["url", "uri", "fileUri", "file_uri", "image_url", "file_url", "document_url"].concat(
  ["audio_url", "image", "file", "source"], // which are objects elsewhere
);
const CONTENTS = ["data", "bytes", "base64", "file_data", "raw", "input_audio"];
const NAMES = ["name", "filename", "fileName", "document_name", "title", "display_name", "displayName"];
const FORMATS = new Map([
  ["pdf", "application/pdf"],
  ["csv", "text/csv"],
  ["html", "text/html"],
  ["txt", "text/plain"],
]);

/** Reads a block with an image. */
export function image(block: Block): Media {
  const levels = levelsOf(block);
  const place = placeOf(levels, "image");
  const start = BEGINNINGS.find(([start]) => place.data?.startsWith(start));
  return { type: "image", ...place, media_type: place.media_type ?? start?.[1] ?? null, file_id: fileId(levels) };
}

/** Reads a block with a file. An image or a recording sent as a file becomes one. */
export function file(block: Block): Media {
  const levels = levelsOf(block);
  const place = placeOf(levels, null);
  if (place.media_type?.startsWith("image/")) return { type: "image", ...place, file_id: fileId(levels) };
  if (place.media_type?.startsWith("audio/")) return { type: "audio", ...place, text: null };
  const data = first(levels, CONTENTS);
  const text = contentOf(levels[0]!, data !== null && isAddress(data) ? null : data);
  const known = { name: first(levels, NAMES), file_id: fileId(levels), text };
  return { type: "file", ...place, ...known, data: text ? null : place.data };
}

/** Reads a block with a recording. */
export function audio(block: Block): Media {
  const levels = levelsOf(block);
  return { type: "audio", ...placeOf(levels, "audio"), text: first(levels, ["transcript"]) };
}

/** Returns whether nothing was found but a name and a type. */
export function isEmpty({ url, data, file_id, text }: Media): boolean {
  return !(url || data || file_id || text);
}

function fileId(levels: Block[]): string | null {
  return first(levels, ["file_id"]);
}

function isAddress(text: string): boolean {
  return PREFIXES.some((prefix) => text.startsWith(prefix));
}

/** Returns the block and the objects in it that hold the content, such as the value of `source`, innermost first. */
function levelsOf(block: Block): Block[] {
  const levels = [block];
  for (;;) {
    const inner = SOURCES.map((key) => levels[0]![key]).find(isObject);
    if (!inner) return levels;
    levels.unshift(inner);
  }
}

/** Returns the media type, the address and the base64 of a source; one of the last two is null. */
function placeOf(levels: Block[], kind: string | null): Pick<Media, "media_type" | "url" | "data"> {
  let media_type = first(levels, TYPES);
  const form = first(levels, ["format"]);
  const data = first(levels, CONTENTS);
  if (media_type === null && form) media_type = kind ? `${kind}/${form}` : (FORMATS.get(form) ?? null);
  const url = data !== null && isAddress(data) ? data : first(levels, ADDRESSES);
  const match = url === null ? null : DATA.exec(url);
  if (match) return { media_type: media_type || match[1] || null, url: null, data: url!.slice(match[0].length) };
  return data === null || url === data ? { media_type, url, data: null } : { media_type, url: null, data };
}

/** Returns the content of a document that is given as text. */
function contentOf(source: Block, data: string | null): string | null {
  if (typeof source["text"] === "string") return source["text"];
  if (source["type"] === "text") return data;
  const { content } = source;
  if (!Array.isArray(content)) return typeof content === "string" ? content : null;
  const texts = content.filter(isObject).map((item) => item["text"]);
  return texts.filter((text) => typeof text === "string").join("\n") || null;
}

function first(levels: Block[], keys: string[]): string | null {
  for (const block of levels)
    for (const key of keys) {
      const text = textOf(block[key]);
      if (text) return text;
    }
  return null;
}

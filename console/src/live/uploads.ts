/** Files on their way into a session, and those that the next message refers to. */

import { signal } from "@preact/signals";
import { ConnectionError, type Problem, problemError } from "amplifier-client/errors";
import { randomId } from "amplifier-client/http";
import type { Schemas } from "../api/client";
import { credentialHeaders } from "../api/credentials";
import { SERVICE } from "../base";
import { errorText } from "../ui/error-note";

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"]; // what models accept as images
const MOST = 10; // files of a message

/** A file that was chosen: sent in part, sent, or refused. */
export interface Upload {
  id: string;
  name: string;
  type: string;
  /** The part that was sent, from 0 to 1. */
  sent: number;
  /** The text by which messages refer to it. */
  attachment: string | null;
  error: string | null;
}

/** A part of a message that refers to a file, in the format of OpenAI, which every reader of the service knows. */
export type Block = Record<string, unknown>;

export class Uploads {
  readonly files = signal<readonly Upload[]>([]);
  #requests = new Map<string, XMLHttpRequest>();

  constructor(private readonly path: string) {}

  /** Whether a file is on its way. */
  get busy(): boolean {
    return this.files.value.some((one) => one.attachment === null && one.error === null);
  }

  /** Returns the blocks of the files that were sent. */
  blocks(): Block[] {
    return this.files.value.flatMap(({ attachment, name, type }): Block[] => {
      if (attachment === null) return [];
      if (PICTURES.includes(type)) return [{ type: "image_url", image_url: { url: attachment } }];
      return [{ type: "file", file: { filename: name, file_data: attachment } }];
    });
  }

  /** Sends files, as many as a message may have. */
  add(files: Iterable<File>): void {
    for (const file of [...files].slice(0, MOST - this.files.value.length)) void this.#send(file);
  }

  /** Takes a file off the next message, and stops sending it. */
  remove(id: string): void {
    this.#requests.get(id)?.abort();
    this.files.value = this.files.value.filter((one) => one.id !== id);
  }

  /** Returns the files and begins anew. */
  take(): readonly Upload[] {
    const files = this.files.value;
    this.files.value = [];
    return files;
  }

  async #send(file: File): Promise<void> {
    const id = randomId();
    const name = file.name || "file";
    this.files.value = [...this.files.value, { id, name, type: file.type, sent: 0, attachment: null, error: null }];
    try {
      const { attachment } = await this.#request(id, file, name);
      this.#change(id, { attachment, sent: 1 });
    } catch (error) {
      this.#change(id, { error: errorText(error) });
    } finally {
      this.#requests.delete(id);
    }
  }

  /** Sends one file by XMLHttpRequest: `fetch` does not tell how much was sent. */
  async #request(id: string, file: File, name: string): Promise<Schemas["Attachment"]> {
    const request = new XMLHttpRequest();
    this.#requests.set(id, request);
    request.open("POST", `${SERVICE}${this.path}/attachments?${new URLSearchParams({ name })}`);
    const headers = { ...(await credentialHeaders()), "Content-Type": file.type || "application/octet-stream" };
    for (const [header, value] of Object.entries(headers)) request.setRequestHeader(header, value);
    request.upload.onprogress = ({ loaded, total }) => this.#change(id, { sent: total ? loaded / total : 0 });
    return new Promise((resolve, reject) => {
      request.onload = () =>
        request.status < 300 ? resolve(JSON.parse(request.responseText)) : reject(refusal(request));
      request.onerror = request.onabort = () => reject(new ConnectionError("The file was not sent: add it again"));
      request.send(file);
    });
  }

  #change(id: string, changes: Partial<Upload>): void {
    this.files.value = this.files.value.map((one) => (one.id === id ? { ...one, ...changes } : one));
  }
}

function refusal({ status, responseText }: XMLHttpRequest): Error {
  try {
    return problemError({ ...(JSON.parse(responseText) as Problem), status });
  } catch {
    return new ConnectionError(`The file was not sent (status ${status}): add it again`);
  }
}

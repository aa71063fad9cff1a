/** The state of an open config: how it is stored, and how it is here. */

import { computed, signal } from "@preact/signals";
import { ProblemError, StaleError } from "amplifier-client/errors";
import type { Schemas } from "../api/client";
import { type Tags, tagsOfDraft } from "../sessions/tags-field";
import { type Config, type Content, readConfig, saveConfig } from "./calls";
import { at, isObject, ordered, parse, type Path, placeOf, print, put } from "./json";

/** A section of the config with the module that is in it unless it names another. */
export interface Within {
  section: Path;
  module: string;
}

/** A config that is being changed. The text of the JSON is the truth; the form shows and changes what is in it. */
export class Draft {
  readonly saved = signal<Config>(null!);
  readonly name = signal("");
  readonly description = signal("");
  readonly tags = signal({ tags: {} as Tags, key: "", value: "" });
  readonly text = signal("");
  /** What the service says about values of the last attempt to save. */
  readonly problems = signal<readonly Schemas["FieldError"][]>([]);
  readonly error = signal<unknown>(undefined);
  /** The config as somebody else saved it meanwhile. */
  readonly theirs = signal<Config | null>(null);

  /** The config in the text, or what is wrong with it. */
  readonly parsed = computed<{ data: Record<string, unknown> } | { fault: string }>(() => {
    try {
      const data = parse(this.text.value);
      return isObject(data) ? { data } : { fault: "A config is an object: { ... }" };
    } catch (error) {
      return { fault: (error as Error).message };
    }
  });

  readonly dirty = computed(() => {
    const content = this.content();
    return content === null || print(content) !== this.#former.value;
  });

  readonly #former = computed(() => print(contentOf(this.saved.value)));

  constructor(config: Config) {
    this.reset(config);
  }

  /** Begins anew with a config as it is stored. */
  reset(config: Config): void {
    this.saved.value = config;
    this.name.value = config.name;
    this.description.value = config.description ?? "";
    this.tags.value = { tags: config.tags as Tags, key: "", value: "" };
    this.text.value = print(ordered(config.config_data));
    this.problems.value = [];
    this.error.value = undefined;
    this.theirs.value = null;
  }

  /** Returns what would be saved, or null while the text is no config. */
  content(): Content | null {
    const parsed = this.parsed.value;
    if (!("data" in parsed)) return null;
    const [name, description] = [this.name.value.trim(), this.description.value.trim() || null];
    return contentOf({ name, description, tags: tagsOfDraft(this.tags.value), config_data: parsed.data });
  }

  /** Returns the value at a path of the config. */
  at(path: Path): unknown {
    const parsed = this.parsed.value;
    return "data" in parsed ? at(parsed.data, path) : undefined;
  }

  /** Puts a value at a path of the config; undefined takes it away. `within` names the module that reads the value. */
  put(path: Path, value: unknown, within?: Within): void {
    const parsed = this.parsed.value;
    if (!("data" in parsed)) return;
    const data = within && value !== undefined ? withModule(parsed.data, within) : parsed.data;
    this.text.value = print(put(data, path, value) ?? {});
  }

  /** Returns what the service says about the value of a path or field. */
  problemAt(place: Path | string): string | undefined {
    const wanted = typeof place === "string" ? place : placeOf(place);
    return this.problems.value.find(({ field }) => field === wanted)?.detail;
  }

  /** Saves it. After a change by somebody else nothing is saved, and `theirs` is their config. */
  async save(): Promise<boolean> {
    const content = this.content();
    const { config_id, version } = this.saved.value;
    if (content === null) return false;
    this.problems.value = [];
    this.error.value = undefined;
    try {
      this.reset(await saveConfig(config_id, version, content as Schemas["UpdateConfig"]));
      return true;
    } catch (error) {
      if (error instanceof StaleError) this.theirs.value = await readConfig(config_id);
      else this.error.value = error;
      if (error instanceof ProblemError) this.problems.value = error.errors;
      return false;
    }
  }

  /** Saves it in place of what somebody else saved. */
  async overwrite(): Promise<boolean> {
    this.saved.value = this.theirs.value!;
    this.theirs.value = null;
    return this.save();
  }
}

/** Returns the config with a section that names its module. A module may be named by its name alone. */
function withModule(data: unknown, { section, module }: Within): unknown {
  const found = at(data, section);
  if (isObject(found) && "module" in found) return data;
  return put(data, section, { module: typeof found === "string" ? found : module, ...(isObject(found) ? found : {}) });
}

/** Returns what makes up a version of a config, in a fixed order. */
export function contentOf({ name, description, tags, config_data }: Content): Content {
  const sorted = Object.fromEntries(Object.entries(tags as Tags).sort(([one], [other]) => (one < other ? -1 : 1)));
  return { name, description, tags: sorted, config_data: ordered(config_data) as Content["config_data"] };
}

const drafts = new Map<string, Draft>();

/** Returns the draft of a config: the unsaved one that was left, or a new one of how it is stored. */
export async function draftOf(configId: string, signal: AbortSignal): Promise<Draft> {
  const left = drafts.get(configId);
  if (left?.dirty.value) return left;
  const draft = new Draft(await readConfig(configId, signal));
  drafts.set(configId, draft);
  return draft;
}

/** Forgets the draft of a config that was deleted. */
export function dropDraft(configId: string): void {
  drafts.delete(configId);
}

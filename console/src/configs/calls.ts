/** Calls about configs. Each throws ProblemError and ConnectionError. */

import { answer, api, type Schemas } from "../api/client";
import { parse } from "./json";

export type Config = Schemas["Config"];
export type ConfigSummary = Schemas["ConfigSummary"];
export type ConfigVersion = Schemas["ConfigVersion"];
export type Versions = Schemas["ConfigVersionList"];

/** What a version of a config consists of, for people. */
export type Content = Pick<Config, "name" | "description" | "config_data"> & { tags: unknown };

const path = (config_id: string) => ({ path: { config_id } });
const unchanged = (version: number) => ({ header: { "If-Match": `"${version}"` } });

/** The query of a list of configs. */
export interface Filters {
  name?: string;
  tag?: string[];
  cursor?: string;
}

export function listConfigs(query: Filters, signal: AbortSignal): Promise<Schemas["ConfigList"]> {
  return answer(api.GET("/configs", { params: { query: { limit: 100, ...query } }, signal }));
}

export function createConfig(body: Schemas["CreateConfig"]): Promise<Config> {
  return answer(api.POST("/configs", { body }));
}

/** Returns a config with its numbers as they were written. */
export async function readConfig(config_id: string, signal?: AbortSignal): Promise<Config> {
  const text = await answer(api.GET("/configs/{config_id}", { params: path(config_id), signal, parseAs: "text" }));
  return parse(text) as Config;
}

/** Replaces a config if it still has this version. Throws StaleError if somebody changed it meanwhile. */
export async function saveConfig(config_id: string, version: number, body: Schemas["UpdateConfig"]): Promise<Config> {
  const params = { ...path(config_id), ...unchanged(version) };
  return parse(await answer(api.PUT("/configs/{config_id}", { params, body, parseAs: "text" }))) as Config;
}

export function listVersions(config_id: string, cursor: string | undefined, signal: AbortSignal): Promise<Versions> {
  const params = { ...path(config_id), query: { limit: 50, cursor } };
  return answer(api.GET("/configs/{config_id}/versions", { params, signal }));
}

/** Returns one version, also the present one. */
export async function readVersion(config_id: string, version: number, signal: AbortSignal): Promise<ConfigVersion> {
  const params = { path: { config_id, version } };
  const request = api.GET("/configs/{config_id}/versions/{version}", { params, signal, parseAs: "text" });
  return parse(await answer(request)) as ConfigVersion;
}

/** Makes a former version the present one, with a new number, if the present one still is `present`. */
export async function restoreVersion(config_id: string, version: number, present: number): Promise<Config> {
  const params = { path: { config_id, version }, ...unchanged(present) };
  const request = api.POST("/configs/{config_id}/versions/{version}/restore", { params, parseAs: "text" });
  return parse(await answer(request)) as Config;
}

/** Returns the number of the caller's sessions that were made from a config. */
export async function countSessions(config_id: string, signal: AbortSignal): Promise<number> {
  return (await answer(api.GET("/sessions", { params: { query: { config_id, limit: 1 } }, signal }))).total;
}

/** Deletes a config and its sessions. Throws ConflictError if others take part in them, unless `force`. */
export function deleteConfig(config_id: string, force: boolean): Promise<Schemas["ConfigMessage"]> {
  return answer(api.DELETE("/configs/{config_id}", { params: { ...path(config_id), query: { force } } }));
}

/** Makes a session in which the agent of a config answers. */
export function createSession(config_id: string, title: string): Promise<Schemas["Session"]> {
  return answer(api.POST("/sessions", { body: { config_id, title: title.slice(0, 255) } }));
}

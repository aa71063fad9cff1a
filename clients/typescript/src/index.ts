/** Client of Amplifier, the session backend for AI agents. */

export { Amplifier } from "./client.js";
export * from "./errors.js";
export type { Options, Query } from "./http.js";
export type { components, operations, paths } from "./openapi.js";
export type { openapi } from "./openapi-names.js";
export { type AgentEvent, type Answer, type SendOptions } from "./runs.js";
export { type AppendOptions, type Message, type Retraction, Session, type SessionEvent } from "./session.js";

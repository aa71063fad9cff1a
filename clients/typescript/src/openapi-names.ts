/** Short names for the types that are generated from openapi/openapi.json. */

import type { components } from "./openapi.js";

type Schemas = components["schemas"];

export declare namespace openapi {
  type Appended = Schemas["Appended"];
  type Config = Schemas["Config"];
  type CreateConfig = Schemas["CreateConfig"];
  type CreateSession = Partial<Schemas["CreateSession"]>;
  type Entry = Schemas["Entry"];
  type PatchedStates = Schemas["PatchedStates"];
  type Participant = Schemas["Participant"];
  type Run = Schemas["Run"];
  type SearchResults = Schemas["SearchResults"];
  type Session = Schemas["Session"];
  type SessionList = Schemas["SessionList"];
  type SessionStates = Schemas["SessionStates"];
  type SessionSummary = Schemas["SessionSummary"];
  type StatePatches = Schemas["StatePatches"];
  type StateVersions = Schemas["StateVersions"];
  type Transcript = Schemas["Transcript"];
  type Retracted = Schemas["Retracted"];
}

// The main job with the generated types: a session, its transcript, people, search, live events, and what goes wrong.
// AMPLIFIER_URL, AMPLIFIER_KEY and AMPLIFIER_TOKEN say where and as whom.

import type { components, paths } from "amplifier-client";
import { EventSourceParserStream } from "eventsource-parser/stream";
import createClient from "openapi-fetch";

type Schemas = components["schemas"];

const baseUrl = setting("URL");
const headers = { "X-API-Key": setting("KEY"), Authorization: `Bearer ${setting("TOKEN")}` };
const client = createClient<paths>({ baseUrl, headers });

const config = given(
  await client.POST("/configs", { body: { name: "Travel desk", config_data: { bundle: { name: "travel" } } } }),
);
const wanted = { config_id: config.config_id, title: "Flight to Geneva" };
const { session_id } = given(await client.POST("/sessions", { body: wanted }));
const path = { session_id };

console.log("appended up to", given(await append(0, "Is there a direct flight to Geneva?")).last_seq);

const noor: Schemas["PutParticipant"] = { user_id: "noor", role: "editor", permissions: { invite: true } };
const shared = given(await client.POST("/sessions/{session_id}/participants", { params: { path }, body: noor }));
console.log("shared with", shared.user_id, "as", shared.role);

const page = given(
  await client.GET("/sessions/{session_id}/transcript", { params: { path, query: { limit: 10 } } }),
);
if ("messages" in page) {
  console.log("read", JSON.stringify(page.messages.map(({ seq, message }) => [seq, message.role, message.content])));
}

const found = given(await client.GET("/search", { params: { query: { q: '"direct flight"', session_id } } }));
console.log("found", JSON.stringify(found.items.map((hit) => hit.headline)));

for await (const { event, data } of events(0)) {
  console.log("event", event);
  if (event === "message.created") {
    const entry: Schemas["Entry"] = JSON.parse(data);
    console.log("said", entry.message.content);
  }
  if (event === "participant.added") break;
}

// somebody else was faster: the answer has what was missed, and where to go on
const stale = await append(0, "Book it.");
if (stale.error?.status === 412 && stale.error.last_seq !== undefined) {
  console.log("stale", JSON.stringify(stale.error.missed?.map((entry) => entry.seq)));
  console.log("appended up to", given(await append(stale.error.last_seq, "Book it.")).last_seq);
}

const missing = await client.GET("/sessions/{session_id}/transcript", {
  params: { path: { session_id: "no-such-session" } },
});
if (missing.error) console.log("missing", missing.error.status, missing.error.detail);

/** Appends what a user says, unless the transcript has moved on. */
function append(expected_seq: number, content: string) {
  const body: Schemas["AppendTranscript"] = { messages: [{ role: "user", content }], expected_seq };
  return client.POST("/sessions/{session_id}/transcript", { params: { path }, body });
}

/** The type and the data of each event. */
async function* events(after: number) {
  const stop = new AbortController();
  const stream = given(
    await client.GET("/sessions/{session_id}/events", {
      params: { path, query: { after } },
      parseAs: "stream",
      signal: stop.signal,
    }),
  );
  try {
    yield* stream.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  } finally {
    stop.abort();
  }
}

/** The answer, where it is not a problem. */
function given<Data>(answer: { data?: Data; error?: Schemas["Problem"] }): NonNullable<Data> {
  if (answer.data) return answer.data;
  throw new Error(answer.error ? `${answer.error.status}: ${answer.error.detail}` : "no answer");
}

function setting(name: string): string {
  const value = process.env[`AMPLIFIER_${name}`];
  if (value === undefined) throw new Error(`AMPLIFIER_${name} is not set`);
  return value;
}

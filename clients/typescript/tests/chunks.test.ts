/** The UI message that events of a run become, also where parts are missing or come twice. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from "ai";
import { Chunks } from "#dist/ai-chunks.js";

type Event = Parameters<Chunks["of"]>[0];

const event = (type: string, data?: unknown): Event => ({ type, id: null, data });
const message = (seq: number, value: object): Event => event("message.created", { seq, message: value });
const delta = (text: string, sequence?: number, block_type = "text", request_id = "a"): Event =>
  event("llm:stream_block_delta", { text, sequence, block_type, request_id });
const connected = event("connected");
const again = event("reconnected");
const block = event("llm:stream_block_start", { block_type: "text", request_id: "a" });
const later = event("llm:stream_block_start", { block_type: "text", request_id: "b" });
const asked = message(2, { role: "user", content: "?" });
const answered = message(3, { role: "assistant", content: "one two three" });
const end: Event[] = [{ type: "response", id: null, content: "", finish_reason: "end_turn" }, event("done")];

/** Returns what is shown after each event, and the message at the end. */
async function shown(events: Event[], after = 0): Promise<{ steps: string[]; whole: UIMessage }> {
  const chunks = new Chunks(after);
  let text = "";
  const all: UIMessageChunk[] = [];
  const steps: string[] = [];
  for (const one of events) {
    for (const chunk of chunks.of(one)) {
      all.push(chunk);
      if (chunk.type === "text-delta") text += chunk.delta;
    }
    steps.push(text);
  }
  let whole: UIMessage | undefined;
  const stream = new ReadableStream<UIMessageChunk>({
    start(controller) {
      for (const chunk of all) controller.enqueue(chunk);
      controller.close();
    },
  });
  for await (const one of readUIMessageStream({ stream })) whole = one;
  return { steps, whole: whole! };
}

const parts = (whole: UIMessage) =>
  whole.parts.map((part) => ("text" in part ? `${part.type}: ${part.text}` : part.type));

test("answer is shown as it comes", async () => {
  const { steps, whole } = await shown([
    connected,
    asked,
    block,
    delta("one", 0),
    delta(" two three", 1),
    answered,
    ...end,
  ]);
  assert.deepEqual(steps, ["", "", "", "one", ...Array(4).fill("one two three")]);
  assert.deepEqual([whole.id, parts(whole)], ["answer-2", ["step-start", "text: one two three"]]);
});

test("process of the run repeats what was said so far", async () => {
  const { steps, whole } = await shown([connected, asked, delta("one two", 7), delta(" three", 8), answered, ...end]);
  assert.equal(steps[2], "one two");
  assert.deepEqual(parts(whole), ["step-start", "text: one two three"]);
});

test("nothing is shown twice when the connection comes back", async () => {
  const before = [connected, asked, block, delta("one", 0)];
  const { steps, whole } = await shown([...before, again, delta("one two", 1), delta(" three", 2), answered, ...end]);
  assert.deepEqual(steps.slice(3), ["one", "one", "one two", ...Array(4).fill("one two three")]);
  assert.deepEqual(parts(whole), ["step-start", "text: one two three"]);
});

test("part of an answer from another process waits for its beginning", async () => {
  const { steps, whole } = await shown([connected, asked, delta(" two"), delta(" three"), answered, ...end]);
  assert.deepEqual(steps.slice(2, 5), ["", "", "one two three"]);
  assert.deepEqual(parts(whole), ["step-start", "text: one two three"]);
});

test("part of a later step from another process waits for its beginning, too", async () => {
  const call = { id: "call_1", tool: "weather", arguments: {} };
  const first = message(3, { role: "assistant", content: "I look.", tool_calls: [call] });
  const result = message(4, { role: "tool", tool_call_id: "call_1", content: "15" });
  const last = message(5, { role: "assistant", content: "one two" });
  const { steps, whole } = await shown([
    connected,
    asked,
    first,
    result,
    delta(" two", undefined, "text", "b"),
    last,
    ...end,
  ]);
  assert.equal(steps[4], "I look.");
  assert.equal(parts(whole).at(-1), "text: one two");
});

test("parts that overtake messages wait for them", async () => {
  const call = { id: "call_1", tool: "weather", arguments: {} };
  const first = message(3, { role: "assistant", content: "I look.", tool_calls: [call] });
  const result = message(4, { role: "tool", tool_call_id: "call_1", content: "15" });
  const last = message(5, { role: "assistant", content: "one two" });
  const expected = ["step-start", "text: I look.", "dynamic-tool", "step-start", "text: one two"];
  const live = [connected, asked, block, delta("I look.", 0), later, delta("one", 0, "text", "b"), first, result];
  const { steps, whole } = await shown([...live, delta(" two", 1, "text", "b"), last, ...end]);
  assert.deepEqual(steps.slice(5, 9), ["I look.", "I look.one", "I look.one", "I look.one two"]);
  assert.deepEqual(parts(whole), expected);
  const joined = [connected, delta("one", 4, "text", "b"), asked, first, result, delta(" two", 5, "text", "b"), last];
  const other = await shown([...joined, ...end], 4);
  assert.deepEqual(other.steps.slice(1, 6), ["", "", "I look.", "I look.one", "I look.one two"]);
  assert.deepEqual(parts(other.whole), expected);
});

test("answer that the model begins anew is a part of its own", async () => {
  const aborted = event("llm:stream_aborted", { request_id: "a" });
  const begun = [connected, asked, block, delta("on", 0), aborted, later, delta("one two", 0, "text", "b")];
  const { whole } = await shown([...begun, answered, ...end]);
  assert.deepEqual(parts(whole), ["step-start", "text: on", "text: one two three"]);
});

test("parts that were lost are shown with the complete message", async () => {
  const { whole } = await shown([connected, asked, block, delta("one"), answered, ...end]);
  assert.deepEqual(parts(whole), ["step-start", "text: one two three"]);
  const other = await shown([connected, asked, block, delta("one"), delta(" three"), answered, ...end]);
  assert.equal(parts(other.whole).at(-1), "text: one two three");
});

test("tools and reasoning are steps of one message", async () => {
  const call = { id: "call_1", tool: "weather", arguments: { at: "GVA" } };
  const first = { role: "assistant", content: [{ type: "thinking", thinking: "Look." }], tool_calls: [call] };
  const result = message(4, { role: "tool", tool_call_id: "call_1", content: "15" });
  const events = [
    connected,
    asked,
    block,
    delta("Lo", 0, "thinking"),
    message(3, first),
    result,
    later,
    delta("one", 0, "text", "b"),
  ];
  const { whole } = await shown([...events, message(5, { role: "assistant", content: "one" }), ...end]);
  assert.deepEqual(parts(whole), ["step-start", "reasoning: Look.", "dynamic-tool", "step-start", "text: one"]);
  const tool = whole.parts[2] as { state: string; output: unknown };
  assert.deepEqual([tool.state, tool.output], ["output-available", 15]);
});

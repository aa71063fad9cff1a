import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "node:test";
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from "ai";
import { Amplifier } from "amplifier-client";
import { AmplifierTransport, readMessages, saveMessages, uiMessages } from "amplifier-client/ai";
import { bundled } from "./documents.js";
import { Service } from "./service.js";
import { amplifier, echo, newKey, said } from "./support.js";

const ui = (text: string, id = text): UIMessage => ({ id, role: "user", parts: [{ type: "text", text }] });

/** Returns what `useChat` sends. */
const sending = (chatId: string, messages: UIMessage[]) =>
  ({ trigger: "submit-message", chatId, messages, messageId: undefined, abortSignal: undefined }) as const;

async function last(stream: ReadableStream<UIMessageChunk>): Promise<UIMessage> {
  let newest: UIMessage | undefined;
  for await (const message of readUIMessageStream({ stream })) newest = message;
  return newest!;
}

const texts = (message: UIMessage) => message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");

test("answer streams as the message that is read later", async () => {
  const transport = new AmplifierTransport({ amplifier, create: { config_id: await echo() } });
  const chat = newKey();
  assert.deepEqual(await transport.messages(chat), []);
  assert.equal(await transport.reconnectToStream({ chatId: chat }), null);
  const streamed = await last(await transport.sendMessages(sending(chat, [ui("one two")])));
  assert.equal(texts(streamed), "You said: one two");
  const [question, answer] = await transport.messages(chat);
  assert.deepEqual([question!.role, texts(question!)], ["user", "one two"]);
  assert.deepEqual([answer!.id, answer!.role, texts(answer!)], [streamed.id, "assistant", texts(streamed)]);
});

test("answer that is under way is joined from its beginning", async () => {
  const transport = new AmplifierTransport({ amplifier, create: { config_id: await echo(0.5) } });
  const chat = newKey();
  const stop = new AbortController();
  const given = { ...sending(chat, [ui("one two three four five")]), abortSignal: stop.signal };
  const reader = (await transport.sendMessages(given)).getReader();
  for (let deltas = 0; deltas < 3;) if ((await reader.read()).value?.type === "text-delta") deltas++;
  stop.abort();
  await assert.rejects(
    async () => {
      while (!(await reader.read()).done);
    },
    { name: "AbortError" },
  );
  const joined = await transport.reconnectToStream({ chatId: chat });
  const [whole, other] = await Promise.all([
    last(joined!),
    last((await transport.reconnectToStream({ chatId: chat }))!),
  ]);
  assert.equal(texts(whole), "You said: one two three four five");
  assert.deepEqual(other, whole);
  assert.equal(whole.id, (await transport.messages(chat))[1]!.id);
});

test("answer is joined from its beginning in every process of the service", async () => {
  const service = await Service.started({ SERVICE_WORKERS: "2" });
  try {
    const client = new Amplifier({ url: service.url });
    const transport = new AmplifierTransport({ amplifier: client, create: { config_id: await echo(0.5, client) } });
    const chat = newKey();
    const stream = await transport.sendMessages(sending(chat, [ui("one two three four five six seven eight")]));
    const join = async () => last((await transport.reconnectToStream({ chatId: chat }))!);
    const joined = await Promise.all([last(stream), ...Array.from({ length: 9 }, join)]);
    assert.deepEqual(new Set(joined.map(texts)), new Set(["You said: one two three four five six seven eight"]));
    assert.equal((await transport.messages(chat)).length, 2);
  } finally {
    await service.stop();
  }
});

test("message that waits for the agent is joined, too", async () => {
  const transport = new AmplifierTransport({ amplifier, create: { config_id: await echo(0.1) } });
  const chat = newKey();
  const first = await transport.sendMessages(sending(chat, [ui("one two three")]));
  const second = await transport.sendMessages(sending(chat, [ui("one two three"), ui("four")]));
  assert.equal(texts(await last(first)), "You said: one two three");
  assert.equal(texts(await last(second)), "You said: four");
});

test("message with a file, and one of the assistant, are refused before anything is sent", async () => {
  const transport = new AmplifierTransport({ amplifier });
  const file = { type: "file" as const, mediaType: "image/png", url: "data:image/png;base64,AA==" };
  for (const message of [
    { ...ui("x"), parts: [file] },
    { ...ui("x"), role: "assistant" as const },
  ]) {
    await assert.rejects(transport.sendMessages(sending(newKey(), [message])), /text alone/);
  }
});

test("refusal of the service rejects, failure of a run ends the stream with its words", async () => {
  const transport = new AmplifierTransport({ amplifier });
  await assert.rejects(transport.sendMessages(sending(newKey(), [ui("Hi")])), { name: "ConflictError" });
  const orchestrator = { module: "loop-unknown" };
  const config_data = { bundle: { name: "x" }, session: { orchestrator }, providers: [{ module: "provider-echo" }] };
  const { config_id } = await amplifier.createConfig({ name: "Wrong", config_data });
  const failing = new AmplifierTransport({ amplifier, create: { config_id } });
  const chunks = [];
  const stream = await failing.sendMessages(sending(newKey(), [ui("Hi")]));
  for (const reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  assert.match(JSON.stringify(chunks.at(-1)), /"type":"error".*loop-unknown/);
});

test("edited message takes back what followed it", async () => {
  const transport = new AmplifierTransport({ amplifier, create: { config_id: await echo() } });
  const chat = newKey();
  for (const text of ["one", "two"]) await last(await transport.sendMessages(sending(chat, [ui(text)])));
  const before = await transport.messages(chat);
  const edited = { ...before[0]!, parts: ui("uno").parts };
  await last(await transport.sendMessages({ ...sending(chat, [edited]), messageId: edited.id }));
  assert.deepEqual((await transport.messages(chat)).map(texts), ["uno", "You said: uno"]);
});

test("UI messages are stored once, replaced when they grow, and found", async () => {
  const session = amplifier.session(newKey());
  const word = `quokka${Date.now()}`;
  const answer = { id: "b", role: "assistant" as const, parts: [{ type: "text" as const, text: "..." }] };
  await saveMessages(session, [ui("Hi", "a"), answer]);
  const grown = { ...answer, parts: [{ type: "text" as const, text: word }] };
  await saveMessages(session, [ui("Hi", "a"), grown]);
  assert.deepEqual(await readMessages(session), [ui("Hi", "a"), grown]);
  assert.equal((await amplifier.search(word)).items.length, 1);
});

test("steps, reasoning and tool calls of a stored turn become one message", () => {
  const messages = [
    said("Weather?"),
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Look." },
        { type: "text", text: "I look." },
      ],
      tool_calls: [{ id: "call_1", tool: "weather", arguments: { at: "GVA" } }],
    },
    { role: "tool", tool_call_id: "call_1", content: '{"degrees": 15}' },
    { role: "assistant", content: "15 degrees." },
  ];
  const entries = messages.map((message, at) => ({
    seq: at + 2,
    message,
    author_user_id: "",
    author_app_id: "",
    created_at: "",
  }));
  const call = { type: "dynamic-tool", toolCallId: "call_1", toolName: "weather", input: { at: "GVA" } };
  assert.deepEqual(uiMessages(entries), [
    { id: "message-2", role: "user", parts: [{ type: "text", text: "Weather?" }] },
    {
      id: "answer-2",
      role: "assistant",
      parts: [
        { type: "step-start" },
        { type: "reasoning", text: "Look.", state: "done" },
        { type: "text", text: "I look.", state: "done" },
        { ...call, state: "output-available", output: { degrees: 15 } },
        { type: "step-start" },
        { type: "text", text: "15 degrees.", state: "done" },
      ],
    },
  ]);
});

test("route of the page keeps what was said", async () => {
  const model = `
    import { MockLanguageModelV4, simulateReadableStream } from "ai/test";
    const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
    export const model = new MockLanguageModelV4({ doStream: async ({ prompt }) => ({ stream: simulateReadableStream({ chunks: [
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: prompt.length + " messages" },
      { type: "text-end", id: "1" },
      { type: "finish", finishReason: { unified: "stop" }, usage },
    ] }) }) });`;
  const code = await bundled(
    "docs/integrations/vercel-ai-sdk.md",
    { route: "route.ts" },
    { "model.ts": model },
    "route.ts",
    "node",
  );
  const folder = mkdtempSync(fileURLToPath(new URL("../route-", import.meta.url)));
  try {
    writeFileSync(`${folder}/route.mjs`, code);
    const { POST } = await import(pathToFileURL(`${folder}/route.mjs`).href);
    const id = newKey();
    for (const text of ["Hi", "And?"]) {
      const body = JSON.stringify({ id, message: ui(text) });
      const response: Response = await POST(new Request("http://page/api/chat", { method: "POST", body }));
      assert.match(await response.text(), /messages/);
    }
    const messages = await readMessages(new Amplifier().session(id));
    assert.deepEqual(messages.map(texts), ["Hi", "1 messages", "And?", "3 messages"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import {
  Agent,
  type AgentInputItem,
  type Model,
  type ModelRequest,
  type ModelResponse,
  run,
  tool,
  Usage,
} from "@openai/agents";
import { AmplifierSession } from "amplifier-client/openai-agents";
import { z } from "zod";
import { block, printed } from "./documents.js";
import { amplifier, newKey } from "./support.js";

const newSession = (key = newKey()) => new AmplifierSession(key, amplifier);
const user = (content: string): AgentInputItem => ({ role: "user", content });
const contents = (items: AgentInputItem[]) => items.map((item) => (item as { content: unknown }).content);

test("items come back in order and equal, with bytes", async () => {
  const session = newSession();
  const output = { type: "image" as const, image: { data: new Uint8Array([0, 1, 254, 255]), mediaType: "image/png" } };
  const items: AgentInputItem[] = [
    user("Hi"),
    { type: "function_call", callId: "call_1", name: "look", arguments: '{"at": "GVA"}', status: "completed" },
    { type: "function_call_result", callId: "call_1", name: "look", status: "completed", output },
  ];
  await session.addItems(items);
  assert.deepEqual(await session.getItems(), items);
});

test("limit returns the last items in order", async () => {
  const session = newSession();
  assert.deepEqual(await session.getItems(), []);
  await session.addItems(Array.from({ length: 5 }, (_, number) => user(String(number))));
  assert.deepEqual(contents(await session.getItems(2)), ["3", "4"]);
  assert.equal((await session.getItems(50)).length, 5);
  assert.deepEqual([await session.getItems(0), await session.getItems(-1)], [[], []]);
});

test("more items than a request takes are added and read in order", async () => {
  const session = newSession();
  await session.addItems(Array.from({ length: 1500 }, (_, number) => user(String(number))));
  const all = contents(await session.getItems());
  assert.deepEqual([all.length, all[0], all[1499]], [1500, "0", "1499"]);
  assert.equal(contents(await session.getItems(1200))[0], "300");
});

test("popped item is returned and gone, and an empty session has none", async () => {
  const session = newSession();
  assert.equal(await session.popItem(), undefined);
  await session.addItems([user("a"), user("b")]);
  assert.deepEqual(await session.popItem(), user("b"));
  assert.deepEqual(await session.getItems(), [user("a")]);
  assert.deepEqual(await session.popItem(), user("a"));
  assert.equal(await session.popItem(), undefined);
});

test("racing poppers get different items", async () => {
  const key = newKey();
  await newSession(key).addItems(Array.from({ length: 8 }, (_, number) => user(String(number))));
  const popped = await Promise.all(Array.from({ length: 10 }, () => newSession(key).popItem()));
  const found = popped.filter((item) => item !== undefined);
  assert.deepEqual(contents(found).sort(), ["0", "1", "2", "3", "4", "5", "6", "7"]);
});

test("cleared session is empty, also for others who use it, and its items are found no more", async () => {
  const key = newKey();
  const [session, other] = [newSession(key), newSession(key)];
  const word = `quokka${Date.now()}`;
  await session.clearSession();
  await session.addItems([user(word)]);
  assert.equal((await other.getItems()).length, 1);
  await session.clearSession();
  assert.deepEqual([await other.getItems(), await session.getItems()], [[], []]);
  assert.equal((await amplifier.search(word)).items.length, 0);
  await session.addItems([]);
  await other.addItems([user("again")]);
  assert.deepEqual(contents(await session.getItems()), ["again"]);
});

/** A model that calls a tool once, and then says how many items it was sent. */
class StubModel implements Model {
  readonly sent: number[] = [];

  async getResponse({ input }: ModelRequest): Promise<ModelResponse> {
    const items = typeof input === "string" ? [input] : input;
    this.sent.push(items.length);
    const called = items.some((item) => typeof item !== "string" && item.type === "function_call_result");
    const call = {
      type: "function_call" as const,
      callId: "call_1",
      name: "look",
      arguments: "{}",
      status: "completed" as const,
    };
    const text = { type: "output_text" as const, text: `${items.length} items` };
    const said = {
      type: "message" as const,
      role: "assistant" as const,
      status: "completed" as const,
      content: [text],
    };
    return { usage: new Usage(), output: [called ? said : call] };
  }

  // eslint-disable-next-line require-yield
  async *getStreamedResponse(): AsyncGenerator<never> {
    throw new Error("not streamed");
  }
}

test("runner continues a conversation in another process", async () => {
  const key = newKey();
  const look = tool({ name: "look", description: "Looks", parameters: z.object({}), execute: () => "HAT136" });
  const model = new StubModel();
  const agent = new Agent({ name: "desk", model, tools: [look] });
  assert.equal((await run(agent, "Hi", { session: newSession(key) })).finalOutput, "3 items");
  assert.equal((await run(agent, "And back?", { session: newSession(key) })).finalOutput, "5 items");
  assert.deepEqual(model.sent, [1, 3, 5]);
  const types = (await newSession(key).getItems()).map((item) => item.type ?? "message");
  assert.deepEqual(types, ["message", "function_call", "function_call_result", "message", "message", "message"]);
  assert.equal((await amplifier.session(key).search("HAT136")).items.length, 1);
});

test("page of the SDK does what it says, with a model's server of the test", async () => {
  const details = { input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const content = [{ type: "output_text", text: `${JSON.parse(body).input.length} items`, annotations: [] }];
    const output = [{ type: "message", id: "msg_1", role: "assistant", status: "completed", content }];
    const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2, ...details };
    const known = { id: "resp_1", object: "response", created_at: 1, status: "completed", model: "gpt-5-mini" };
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ ...known, output, usage }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as { port: number };
    const environ = {
      OPENAI_BASE_URL: `http://127.0.0.1:${port}`,
      OPENAI_API_KEY: "x",
      OPENAI_AGENTS_DISABLE_TRACING: "1",
    };
    assert.deepEqual(await printed(block("docs/integrations/openai-agents.md", "agents"), environ), [
      ["1 items"],
      [4, "items"],
    ]);
  } finally {
    server.close();
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Amplifier, ProblemError, type SessionEvent } from "amplifier-client";
import { Service } from "./service.js";
import { agent, amplifier, echo, newKey, said } from "./support.js";

/** Returns a fetch that breaks each answer of a stream after so many chunks. */
function breaking(chunks: number): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
    const reader = response.body!.getReader();
    let left = chunks;
    const body = new ReadableStream({
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        controller.enqueue(value);
        if (--left === 0) {
          await reader.cancel();
          controller.error(new TypeError("the connection was lost"));
        }
      },
    });
    return new Response(body, response);
  };
}

test("follower receives each numbered event once and in order, over lost connections", async () => {
  const session = amplifier.session(newKey());
  await session.append([said("0"), said("1"), said("2")]);
  const lossy = new Amplifier({ fetch: breaking(3) }).sessionById(await session.id());
  const heard: SessionEvent[] = [];
  for await (const event of lossy.follow({ after: 0 })) {
    if (event.seq === null) continue;
    heard.push(event);
    if (heard.length < 12) await session.append(said(String(heard.length + 2)));
    else break;
  }
  assert.deepEqual(
    heard.map(({ data }) => data.message.content),
    Array.from({ length: 12 }, (_, at) => String(at)),
  );
});

test("follower ends when the session is deleted", async () => {
  const session = amplifier.session(newKey());
  await session.append(said("a"));
  const types = [];
  for await (const { type, seq } of session.follow({ after: 0 })) {
    types.push(type);
    if (seq === 1) await amplifier.sessionById(await session.id()).delete();
  }
  assert.equal(types.at(-1), "session.deleted");
});

test("follower that is aborted throws the reason", async () => {
  const session = amplifier.session(newKey());
  const stop = new AbortController();
  await assert.rejects(async () => {
    for await (const _ of session.follow({ after: 0, signal: stop.signal })) stop.abort(new Error("enough"));
  }, /enough/);
});

test("stranger's follow throws what the service says", async () => {
  await assert.rejects(amplifier.sessionById("no-such-session").follow({ after: 0 }).next(), { name: "NotFoundError" });
});

test("answer continues over lost connections, and is run once", async () => {
  const config_id = await echo(0.05);
  const session = new Amplifier({ fetch: breaking(4) }).session(newKey(), { config_id });
  assert.equal((await session.send("one two three four five six")).response, "You said: one two three four five six");
  assert.equal((await session.messages()).length, 2);
});

test("failed run throws the provider's words, and is not repeated", async () => {
  const config_data = {
    bundle: { name: "x" },
    providers: [{ module: "provider-openai", config: { model: "m", api_key: "k" } }],
  };
  const { config_id } = await amplifier.createConfig({
    name: "Wrong",
    config_data: { ...config_data, session: { orchestrator: { module: "loop-unknown" } } },
  });
  const session = amplifier.session(newKey(), { config_id });
  await assert.rejects(session.send("Hello"), ProblemError);
  assert.equal((await session.messages()).length, 1);
});

test("cancelled run throws", async () => {
  const session = await agent(0.3);
  const stream = session.stream("one two three four five six");
  await assert.rejects(async () => {
    for await (const event of stream) if (event.type === "llm:stream_block_start") await session.cancel();
  }, /cancelled/);
});

test("requests of a restarting service are repeated, and done once", async () => {
  const service = await Service.started();
  try {
    const client = new Amplifier({ url: service.url, retries: 40 });
    const session = client.session("restarted");
    await session.append(said("before"));
    await service.interrupt();
    const [appended] = await Promise.all([session.append(said("after")), service.start()]);
    assert.equal(appended.last_seq, 2);
    assert.equal((await session.messages()).length, 2);
  } finally {
    await service.stop();
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Amplifier, ConflictError, NotFoundError, StaleError } from "amplifier-client";
import { block, printed } from "./documents.js";
import { agent, amplifier, newKey, said } from "./support.js";

test("racing creators of one key share one session", async () => {
  const key = newKey();
  const made = await Promise.all(Array.from({ length: 6 }, () => amplifier.session(key).id()));
  assert.equal(new Set(made).size, 1);
});

test("key with slashes and other letters finds its session, and is free after a delete", async () => {
  const key = `${newKey()}/é ?#%2F`;
  const session = amplifier.session(key, { title: "Trip" });
  const id = await session.id();
  assert.equal(await (await amplifier.find(key))?.id(), id);
  assert.equal(await session.delete(), true);
  assert.equal(await session.delete(), false);
  assert.equal(await amplifier.find(key), null);
  assert.notEqual(await session.id(), id);
});

test("session is appended to without a config, read and found", async () => {
  const session = amplifier.session(newKey());
  const word = `quokka${Date.now()}`;
  const { last_seq } = await session.append([said("Hello"), said(word)]);
  await session.append(said("Bye"));
  assert.deepEqual(
    (await session.messages({ last: 2 })).map((entry) => entry.message["content"]),
    [word, "Bye"],
  );
  assert.deepEqual(
    (await session.messages({ after: last_seq })).map((entry) => entry.message["content"]),
    ["Bye"],
  );
  const all = [];
  for await (const entry of session.entries()) all.push(entry.seq);
  assert.equal(all.length, 3);
  assert.equal((await amplifier.search(word)).items.length, 1);
  assert.equal((await session.search(word)).items.length, 1);
});

test("append that is repeated with keys stores each message once, or replaces it", async () => {
  const session = amplifier.session(newKey());
  await session.append([said("a"), said("b")], { keys: ["a", "b"] });
  const again = await session.append([said("b"), said("c")], { keys: ["b", "c"] });
  assert.deepEqual(again.skipped, [0]);
  const grown = await session.append(said("c!"), { keys: ["c"], on_conflict: "replace" });
  assert.deepEqual(grown.replaced, [0]);
  assert.deepEqual(
    (await session.messages()).map((entry) => entry.message["content"]),
    ["a", "b", "c!"],
  );
});

test("append of many or large messages is one request, and large ones come back equal", async () => {
  const session = amplifier.session(newKey());
  const many = await session.append(Array.from({ length: 3000 }, (_, number) => said(String(number))));
  assert.deepEqual([many.first_seq, many.last_seq], [1, 3000]);
  const large = ["é", "x", "y"].map((letter) => said(letter.repeat(3_000_000)));
  await session.append(large, { expected_seq: 3000 });
  assert.deepEqual((await session.plain({ last: 3 })) as unknown, large);
});

test("stale append throws what was missed", async () => {
  const session = amplifier.session(newKey());
  await session.append(said("first"));
  await assert.rejects(session.append(said("second"), { expected_seq: 0 }), (error: unknown) => {
    assert.ok(error instanceof StaleError);
    assert.equal(error.problem.missed?.[0]?.message["content"], "first");
    return true;
  });
});

test("retracted messages are returned and gone", async () => {
  const session = amplifier.session(newKey());
  await session.append([said("a"), said("b"), said("c")]);
  const { retracted } = await session.retract({ last: 2 });
  assert.deepEqual(
    retracted.map((entry) => entry.message["content"]),
    ["b", "c"],
  );
  assert.equal((await session.messages()).length, 1);
});

test("state is merged with messages and by itself", async () => {
  const session = amplifier.session(newKey());
  await session.append(said("a"), { state: { session: { step: 1, draft: "x" } } });
  const { version } = (await session.state()).session;
  await session.patchState({ session: { step: 2, draft: null } }, { session: version });
  assert.deepEqual((await session.state()).session.document, { step: 2 });
  await assert.rejects(session.patchState({ session: { step: 3 } }, { session: version }), StaleError);
});

test("metadata is merged, and sessions are listed by tag", async () => {
  const key = newKey();
  const session = amplifier.session(key, { tags: { test: key }, metadata: { a: 1 } });
  const updated = await session.update({ title: "Trip", metadata: { b: 2 } });
  assert.deepEqual([updated.title, updated.metadata], ["Trip", { a: 1, b: 2 }]);
  const listed = [];
  for await (const row of amplifier.sessions({ tag: `test:${key}`, limit: 1 })) listed.push(row.session_id);
  assert.deepEqual(listed, [await session.id()]);
});

test("shared session can be read by its id", async () => {
  const session = amplifier.session(newKey());
  assert.equal((await session.share("noor", "viewer")).role, "viewer");
  await session.unshare("noor");
  assert.equal((await amplifier.sessionById(await session.id()).get()).role, "owner");
});

test("agent answers, whole and in parts", async () => {
  const session = await agent();
  const answer = await session.send("Hello");
  assert.equal(answer.response, "You said: Hello");
  assert.match(answer.run_id, /^[0-9a-f-]{36}$/);
  let text = "";
  for await (const event of session.stream("a b c")) {
    if (event.type === "llm:stream_block_delta") text += event.data.text;
  }
  assert.equal(text, "You said: a b c");
  assert.equal(await session.cancel(), false);
});

test("message to the agent of a session without a config is a conflict that says what to do", async () => {
  await assert.rejects(amplifier.session(newKey()).send("Hello"), ConflictError);
});

test("errors have the problem's fields", async () => {
  await assert.rejects(amplifier.sessionById("no-such-session").get(), (error: unknown) => {
    assert.ok(error instanceof NotFoundError);
    assert.deepEqual([error.status, error.detail], [404, "Session not found"]);
    assert.ok(error.requestId);
    return true;
  });
});

test("service that does not answer is a ConnectionError that names its address", async () => {
  const nowhere = new Amplifier({ url: "http://127.0.0.1:9", retries: 1 });
  await assert.rejects(nowhere.search("x"), {
    name: "ConnectionError",
    message: /http:\/\/127\.0\.0\.1:9 did not answer/,
  });
});

test("tour of the README shows what it says", async () => {
  const lines = await printed(block("clients/typescript/README.md", "tour"));
  assert.deepEqual(lines, [
    [1, "Is there a direct flight to Geneva?"],
    [2, "Yes: HAT136."],
    [["Is there a <mark>direct</mark> <mark>flight</mark> to <mark>Geneva</mark>?"]],
    [1, "message.created"],
    [2, "message.created"],
    [3, "participant.added"],
    ["missed", 1],
    ["retracted", ["Yes: HAT136."]],
    [404, "Session not found"],
  ]);
});

/** The contracts of a SessionStore, with the SDK's own functions where they read from a store. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import {
  deleteSession,
  getSessionMessages,
  getSubagentMessages,
  InMemorySessionStore,
  listSessions,
  listSubagents,
  renameSession,
  type SessionStore,
  type SessionStoreEntry,
} from "@anthropic-ai/claude-agent-sdk";
import { AmplifierSessionStore } from "amplifier-client/claude";
import { amplifier } from "./support.js";

const store = new AmplifierSessionStore(amplifier);

/** Returns the key of a new transcript in a new project. */
const newKey = () => ({ projectKey: `-home-mia-${randomUUID()}`, sessionId: randomUUID() });

function entry(
  type: "user" | "assistant",
  text: string,
  sessionId: string,
  parentUuid: string | null = null,
): SessionStoreEntry {
  const known = {
    uuid: randomUUID(),
    parentUuid,
    sessionId,
    timestamp: new Date().toISOString(),
    cwd: "/",
    isSidechain: false,
  };
  return { type, message: { role: type, content: text }, ...known };
}

/** Returns what an agent and a subagent said, each the child of the one before. */
function turn(sessionId: string): SessionStoreEntry[] {
  const asked = entry("user", "Is there a direct flight?", sessionId);
  return [asked, entry("assistant", "Yes: HAT136.", sessionId, asked.uuid)];
}

test("entries are loaded as they were appended, over several appends", async () => {
  const key = newKey();
  const entries = [...turn(key.sessionId), { type: "mode", value: null, nested: { z: 1, a: [1.5, "é\u0000", {}] } }];
  for (const one of entries) await store.append(key, [one]);
  assert.deepEqual(await store.load(key), entries);
});

test("transcript that was never written is null, and an empty append is nothing", async () => {
  const key = newKey();
  await store.append(key, []);
  assert.equal(await store.load(key), null);
  assert.deepEqual(await store.listSessions(key.projectKey), []);
});

test("entry with a uuid is stored once, entries without one always", async () => {
  const key = newKey();
  const [asked, said] = turn(key.sessionId) as [SessionStoreEntry, SessionStoreEntry];
  const tag = { type: "tag", tag: "x" };
  await store.append(key, [asked, tag, asked]);
  await store.append(key, [asked, tag, said]);
  assert.deepEqual(await store.load(key), [asked, tag, tag, said]);
});

test("projects, sessions and subpaths are apart", async () => {
  const key = newKey();
  const other = { ...key, projectKey: `${key.projectKey}-2` };
  const below = { ...key, subpath: "subagents/agent-1" };
  for (const [number, one] of [key, other, below].entries()) await store.append(one, [{ type: "x", number }]);
  assert.deepEqual(await store.load(key), [{ type: "x", number: 0 }]);
  assert.deepEqual(await store.load(other), [{ type: "x", number: 1 }]);
  assert.deepEqual(await store.load(below), [{ type: "x", number: 2 }]);
  assert.deepEqual(
    (await store.listSessions(key.projectKey)).map((one) => one.sessionId),
    [key.sessionId],
  );
  assert.deepEqual(await store.listSubkeys(key), ["subagents/agent-1"]);
  assert.deepEqual(await store.listSubkeys(other), []);
});

test("times are whole milliseconds of the last append", async () => {
  const key = newKey();
  const times = [];
  for (let number = 0; number < 2; number++) {
    await store.append(key, [{ type: "x" }]);
    times.push((await store.listSessions(key.projectKey))[0]!.mtime);
  }
  assert.ok(times.every(Number.isInteger));
  assert.ok(times[0]! <= times[1]! && Math.abs(times[1]! - Date.now()) < 60_000);
});

test("summaries are those that the SDK folds, also of racing writers", async () => {
  const key = newKey();
  const memory = new InMemorySessionStore();
  const batches = [turn(key.sessionId), [{ type: "custom-title", customTitle: "Geneva", sessionId: key.sessionId }]];
  for (const batch of batches) for (const one of [store, memory]) await one.append(key, batch);
  const [folded] = await store.listSessionSummaries(key.projectKey);
  const [expected] = await memory.listSessionSummaries(key.projectKey);
  assert.deepEqual(folded!.data, expected!.data);
  assert.equal(folded!.mtime, (await store.listSessions(key.projectKey))[0]!.mtime);
  const others = Array.from({ length: 4 }, () => new AmplifierSessionStore(amplifier));
  await Promise.all(others.map((one, at) => one.append(key, [entry("user", String(at), key.sessionId)])));
  assert.equal((await store.load(key))!.length, 7);
  assert.equal((await store.listSessionSummaries(key.projectKey))[0]!.data["customTitle"], "Geneva");
});

test("deleting a subpath deletes it alone, deleting a transcript deletes all", async () => {
  const key = newKey();
  const [one, two] = ["subagents/agent-1", "subagents/agent-2"].map((subpath) => ({ ...key, subpath }));
  for (const each of [key, one!, two!]) await store.append(each, [{ type: "x" }]);
  await store.delete(one!);
  assert.deepEqual([await store.load(one!), await store.listSubkeys(key)], [null, ["subagents/agent-2"]]);
  assert.notEqual(await store.load(key), null);
  await store.delete(key);
  await store.delete(key);
  assert.deepEqual([await store.load(key), await store.load(two!)], [null, null]);
  await store.append(key, [{ type: "y" }]);
  assert.deepEqual(await store.load(key), [{ type: "y" }]);
});

test("stores of several processes make one transcript", async () => {
  const key = newKey();
  const entries = turn(key.sessionId);
  const stores = Array.from({ length: 4 }, () => new AmplifierSessionStore(amplifier));
  await Promise.all(stores.map((one) => one.append(key, entries)));
  assert.deepEqual(await store.load(key), entries);
});

test("more entries than a request takes are stored in order", async () => {
  const key = newKey();
  const entries = Array.from({ length: 2100 }, (_, number) => ({ type: "x", uuid: randomUUID(), number }));
  await store.append(key, entries);
  assert.deepEqual(await store.load(key), entries);
});

test("functions of the SDK find the same in Amplifier as in memory", async () => {
  const project = process.cwd().replace(/[^a-zA-Z0-9]/g, "-");
  const sessionId = randomUUID();
  const key = { projectKey: project, sessionId };
  const [main, below] = [turn(sessionId), turn(sessionId).map((one) => ({ ...one, isSidechain: true, agentId: "1" }))];
  const seen = async (sessionStore: SessionStore) => {
    await sessionStore.append(key, main);
    await sessionStore.append({ ...key, subpath: "subagents/agent-1" }, below);
    await renameSession(sessionId, "Geneva", { sessionStore });
    const [row] = (await listSessions({ sessionStore })).filter((one) => one.sessionId === sessionId);
    const messages = await getSessionMessages(sessionId, { sessionStore });
    const agents = await listSubagents(sessionId, { sessionStore });
    const inner = await getSubagentMessages(sessionId, "1", { sessionStore });
    await deleteSession(sessionId, { sessionStore });
    return { title: row?.summary, messages, agents, inner, left: await sessionStore.load(key) };
  };
  const expected = await seen(new InMemorySessionStore());
  assert.equal(expected.messages.length, 2);
  assert.deepEqual(await seen(store), expected);
});

test("what an agent said is found by the search", async () => {
  const key = newKey();
  const word = `quokka${Date.now()}`;
  await store.append(key, [entry("assistant", word, key.sessionId)]);
  assert.equal((await amplifier.search(word)).items.length, 1);
});

/** The page of docs/integrations/vercel-ai-sdk.md, as written, in a browser. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { after, before, test } from "node:test";
import { Amplifier } from "amplifier-client";
import { type Browser, chromium, type Page } from "playwright-core";
import { bundled } from "./documents.js";
import { Service } from "./service.js";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const SECRET = "a secret for tests that is long enough for HS256";
const skip = CHROMIUM ? false : "there is no Chromium";
let service: Service;
let server: Server;
let browser: Browser;
let address: string;
let mia: Amplifier;

/** Returns a token as an identity provider would make it. */
function token(claims: object): string {
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded({ exp: 2 ** 32, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

before(async () => {
  if (skip) return;
  let script = "";
  server = createServer((request, response) => {
    const page =
      '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body></body><script type="module" src="/page.js"></script>';
    const isScript = request.url === "/page.js";
    response
      .writeHead(200, { "Content-Type": isScript ? "text/javascript" : "text/html" })
      .end(isScript ? script : page);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const auth = { AUTH_REQUIRED: "true", AUTH_MODE: "jwt_only", SECRET_KEY: SECRET, ALLOWED_ORIGINS: address };
  service = await Service.started(auth);
  service.command("applications", "create", "web");
  const given = { url: service.url, token: token({ sub: "mia", app_id: "web" }) };
  mia = new Amplifier(given);
  const config_data = { bundle: { name: "echo" }, providers: [{ module: "provider-echo", config: { delay: 0.8 } }] };
  const { config_id } = await mia.createConfig({ name: "Echo", config_data });
  const settings = Object.entries({ ...given, config_id }).map(
    ([name, value]) => `export const ${name} = ${JSON.stringify(value)};`,
  );
  script = await bundled(
    "docs/integrations/vercel-ai-sdk.md",
    { chat: "chat.tsx", page: "page.tsx" },
    { "settings.ts": settings.join("\n") },
    "page.tsx",
  );
  browser = await chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox", "--disable-gpu"] });
});

after(async () => {
  await browser?.close();
  server?.close();
  await service?.stop();
});

/** Opens the page and returns it with what it complains about. */
async function opened(): Promise<{ page: Page; complaints: string[] }> {
  const page = await (await browser.newContext()).newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  // a chat that is new has no session: 404
  page.on(
    "console",
    (message) => message.type() === "error" && !message.text().includes("404") && complaints.push(message.text()),
  );
  await page.goto(address);
  await page.getByRole("textbox").waitFor();
  return { page, complaints };
}

const shown = (page: Page) => page.locator("main p").allInnerTexts();
const status = (page: Page, text: string) => page.locator("output", { hasText: new RegExp(`^${text}$`) }).waitFor();

async function say(page: Page, text: string): Promise<void> {
  await page.getByRole("textbox").fill(text);
  await page.getByRole("textbox").press("Enter");
}

test(
  "page that is reloaded in the middle of an answer shows it from beginning to end",
  { skip, timeout: 120_000 },
  async () => {
    const { page, complaints } = await opened();
    await say(page, "one two three four five six seven eight");
    await page.locator("p.assistant", { hasText: "three" }).waitFor();
    await page.reload();
    await page.locator("p.assistant", { hasText: "five" }).waitFor();
    assert.doesNotMatch((await shown(page))[1]!, /eight/, "the answer goes on after the reload");
    await page.locator("p.assistant", { hasText: "eight" }).waitFor();
    await status(page, "ready");
    const whole = ["one two three four five six seven eight", "You said: one two three four five six seven eight"];
    assert.deepEqual(await shown(page), whole);
    assert.equal((await mia.session("geneva").messages()).length, 2);

    await page.getByRole("button", { name: "Again" }).click();
    await status(page, "streaming");
    await status(page, "ready");
    assert.deepEqual(await shown(page), whole);
    assert.equal((await mia.session("geneva").messages()).length, 2, "the first answer was taken back");

    await say(page, "nine ten eleven twelve");
    await page.locator("p.assistant", { hasText: "nine" }).waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await status(page, "ready");
    assert.doesNotMatch((await shown(page))[3]!, /twelve/);
    await page.reload();
    await page.locator("p").nth(3).waitFor();
    assert.equal((await shown(page)).length, 4);
    assert.deepEqual(complaints, []);
  },
);

// Opens the pages of a service in a headless browser and prints, as JSON, what they asked for and showed.
// node tests/browser.mjs CHROMIUM URL FOLDER

import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, url, folder] = process.argv.slice(2);
const quiet = ["quic", "background-networking", "component-update", "sync"].map((name) => `--disable-${name}`);
const context = await chromium.launchPersistentContext(join(folder, "profile"), {
  executablePath,
  args: [...quiet, "--no-sandbox", "--disable-gpu", "--no-first-run"],
  viewport: { width: 1200, height: 1400 },
});
const page = await context.newPage();
page.setDefaultTimeout(90_000); // beside other tests the page of a hundred operations takes its time
const requests = [];
const complaints = [];
page.on("request", (request) => requests.push(request.url()));
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(String(error)));

const shown = {};
try {
  await page.goto(`${url}/docs`);
  const operation = page.locator("#operations-service-get_version");
  await operation.locator("button.opblock-summary-control").click();
  await operation.getByRole("button", { name: "Try it out" }).click();
  await operation.getByRole("button", { name: "Execute" }).click();
  const answer = operation.locator(".live-responses-table .response").first();
  shown.status = await answer.locator(".response-col_status").innerText();
  shown.body = await answer.locator(".highlight-code").first().innerText();
  await page.screenshot({ path: join(folder, "docs.png") });

  shown.buttons = {};
  for (const [tag, name] of [
    ["events", "follow_sessions"],
    ["events", "follow_session"],
    ["agent", "stream_message"],
    ["sessions", "get_session"],
  ]) {
    const one = page.locator(`#operations-${tag}-${name}`);
    await one.locator("button.opblock-summary-control").click();
    await one.locator(".opblock-body .responses-wrapper").waitFor();
    shown.buttons[name] = await one.getByRole("button", { name: "Try it out" }).count();
    if (name === "follow_sessions") await one.screenshot({ path: join(folder, "stream.png") });
  }

  await page.setViewportSize({ width: 360, height: 800 });
  await page.goto(`${url}/redoc#append_transcript`);
  await page.locator("#append_transcript").getByText("Example").first().click();
  shown.articles = await page.locator("article").count();
  shown.overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  await page.screenshot({ path: join(folder, "redoc.png") });
} finally {
  await context.close();
}
console.log(JSON.stringify({ ...shown, requests, complaints }));

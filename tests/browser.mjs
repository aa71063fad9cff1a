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

  await page.goto(`${url}/redoc`);
  const append = page.locator("#operations-transcripts-append_transcript");
  await append.locator("button.opblock-summary-control").click();
  await append.locator(".opblock-body .example").first().waitFor();
  shown.operations = await page.locator(".opblock").count();
  shown.buttons = await page.getByRole("button", { name: "Try it out" }).count();
  await page.screenshot({ path: join(folder, "redoc.png") });
} finally {
  await context.close();
}
console.log(JSON.stringify({ ...shown, requests, complaints }));

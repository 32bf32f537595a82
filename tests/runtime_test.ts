import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { systemClock, workerUrl } from "../src/runtime.ts";

const path = "src/local/compressor_worker.ts";

test("workerUrl() finds a module of the source", () => {
  equal(workerUrl(path).href, new URL("../src/local/compressor_worker.ts", import.meta.url).href);
});

test("workerUrl() finds a module of a package, where all is JavaScript", () => {
  equal(
    workerUrl(path, "file:///app/node_modules/montana/src/runtime.js").href,
    "file:///app/node_modules/montana/src/local/compressor_worker.js",
  );
});

test("workerUrl() has a module imported that was imported by URL", () => {
  const { href } = workerUrl(path, "https://example.com/montana/v0.1.0/src/runtime.ts");
  const [head, code] = href.split(",");
  equal(head, "data:text/javascript");
  equal(
    decodeURIComponent(code!),
    'import "https://example.com/montana/v0.1.0/src/local/compressor_worker.ts";',
  );
});

test("workerUrl() finds a module in an executable, whose modules bear the name of its root", () => {
  equal(
    workerUrl(path, "file:///$bunfs/root/montana").href,
    "file:///$bunfs/root/src/local/compressor_worker.ts",
  );
  equal(
    workerUrl(path, "file:///B:/~BUN/root/montana.exe").href,
    "file:///B:/~BUN/root/src/local/compressor_worker.ts",
  );
});

test("The system's clock sleeps for longer than a timer takes, and for ever, until it is woken", async () => {
  for (const ms of [Infinity, 2 ** 31, 2 ** 40]) {
    const wake = new AbortController();
    let isAwake = false;
    const sleeping = systemClock.sleep(ms, wake.signal).then(() => isAwake = true);
    await systemClock.sleep(50);
    equal(isAwake, false, `${ms} ms`);
    wake.abort();
    await sleeping;
  }
  await systemClock.sleep(0);
});

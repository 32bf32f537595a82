/**
 * The repository by URL, as Deno imports it from where it is hosted: with nothing in its cache, and with
 * every request it makes in sight.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { toHex, VERSION } from "../mod.ts";
import { makeBatch, plainBlocks, withDirectory } from "./helpers.ts";
import { deno, execute, npmRegistry, whyNot } from "./runtimes.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Deno refuses `.ts` as `video/mp2t`, which is what the tables of many servers say. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ts: "application/typescript",
  js: "text/javascript",
  json: "application/json",
};

/** The modules of the repository over HTTP, and what was asked of it, by Deno as its proxy too. */
async function withServer<T>(
  action: (host: string, asked: readonly string[]) => Promise<T>,
): Promise<T> {
  const asked: string[] = [];
  const server = createServer(({ url = "" }, response) => {
    asked.push(url);
    const [path, extension = ""] = /^\/(?:mod|cli|src\/[\w/]+)(?:\.d)?\.(\w+)$/.exec(url) ?? [];
    const file = join(root, path ?? "");
    if (path === undefined || !existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": CONTENT_TYPES[extension]! }).end(readFileSync(file));
  });
  server.on("connect", ({ url = "" }, socket) => {
    asked.push(url);
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await action(`127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** What a program printed, what its Deno asked for, and which packages it then had. */
interface Outcome {
  readonly printed: string;
  readonly asked: readonly string[];
  readonly packages: readonly string[];
}

/** Runs a program that imports by URL under a fresh Deno, where nothing else can be reached unseen. */
function runByUrl(
  program: (host: string) => string,
  args: (host: string) => readonly string[],
): Promise<Outcome> {
  return withDirectory((cwd) =>
    withServer(async (host, asked) => {
      await writeFile(join(cwd, "main.ts"), program(host));
      const cache = join(cwd, "cache");
      const proxy = `http://${host}`;
      const printed = await execute(deno(), [...args(host), "main.ts"], {
        cwd,
        env: {
          PATH: process.env["PATH"],
          HOME: cwd,
          NO_COLOR: "1",
          DENO_DIR: cache,
          DENO_NO_UPDATE_CHECK: "1",
          NPM_CONFIG_REGISTRY: `${proxy}/npm/`,
          JSR_URL: `${proxy}/jsr/`,
          ...{ HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: "127.0.0.1" },
        },
      });
      const npm = join(cache, "npm");
      return { printed, asked, packages: existsSync(npm) ? readdirSync(npm) : [] };
    })
  );
}

/** Makes sure that nothing but our own modules was asked for. */
function askedForModulesOnly({ asked, packages }: Outcome): void {
  ok(asked.length > 0);
  for (const url of asked) match(url, /^\/(mod|src\/[\w/]+)(\.d)?\.[jt]s$/);
  deepEqual(packages, []);
}

const least = (host: string) => ["run", "--no-prompt", `--allow-import=${host}`];

const codec = (host: string) => `
  import {
    decodeBatch, fromBlobs, headerFor, NoopCompressor, open, seal, standardCodec, toBlobs, toHex,
  } from "http://${host}/mod.ts";

  const blocks = ${
  JSON.stringify(plainBlocks(3).map(({ transactions }) => transactions.map(toHex)))
}
    .map((hex, index) => ({
      timestamp: BigInt(1000 + 2 * index),
      transactions: hex.map((each) => Uint8Array.fromHex(each.slice(2))),
    }));
  const check = new Uint8Array(20);
  const place = { batchNumber: 0n, l1Origin: 0n, l1OriginCheck: check, parentCheck: check };
  const none = new NoopCompressor();
  const sealed = await seal(standardCodec.encode(headerFor(place, blocks), blocks), none);
  const back = decodeBatch(await open(fromBlobs(toBlobs(sealed)), [none]));
  console.log(JSON.stringify({ sealed: toHex(sealed), blocks: back.blocks.length }));
`;

const pipeline = (host: string) => `
  import {
    allCompressors, BatchSubmissionRunner, BrotliCompressor, DerivationRunner, MemoryBatchSource,
    MemoryBlockSink, MemoryL1, systemClock as clock, systemRandom as random,
  } from "http://${host}/mod.ts";

  const transactions = [new Uint8Array(1000).fill(7)];
  const blocks = [1000n, 1002n].map((timestamp) => ({ timestamp, transactions }));
  const l1 = new MemoryL1();
  const source = new MemoryBatchSource(blocks, l1);
  const compressor = BrotliCompressor.maxCompression();
  await new BatchSubmissionRunner({ source, compressor, sink: l1.sink(), clock, random })
    .run({ once: true });
  const sink = new MemoryBlockSink();
  const compressors = allCompressors();
  await new DerivationRunner({ source: l1.source(), compressors, sink, clock, random })
    .run({ once: true });
  console.log(sink.blocks.map(({ timestamp, transactions }) =>
    \`\${timestamp}: \${transactions.map((each) => each.join("") === "7".repeat(1000))}\`
  ).join());
`;

const pool = (host: string) => `
  import { CompressorPool } from "http://${host}/src/local/compressor_pool.ts";

  const pool = new CompressorPool({ format: "brotli", level: 5 }, { workers: 2 });
  const lengths = [1000, 2000].map(async (length) => {
    const compressed = await pool.compress(new Uint8Array(length));
    return (await pool.decompress(compressed)).length;
  });
  console.log((await Promise.all(lengths)).join());
  await pool.close();
`;

const skip = whyNot("mod.ts by URL", deno);

test("mod.ts by URL encodes and decodes a batch, with no package and no permission", {
  skip,
}, async () => {
  const outcome = await runByUrl(codec, least);
  askedForModulesOnly(outcome);
  const check = new Uint8Array(20);
  const { data } = await makeBatch(plainBlocks(3), { l1OriginCheck: check, parentCheck: check });
  deepEqual(JSON.parse(outcome.printed), { sealed: toHex(data), blocks: 3 });
});

test("mod.ts by URL runs a pipeline with Brotli, with no package and no permission", {
  skip,
}, async () => {
  const outcome = await runByUrl(pipeline, least);
  askedForModulesOnly(outcome);
  equal(outcome.printed, "1000: true,1002: true\n");
});

test("CompressorPool by URL works in threads, with no package and no permission", {
  skip,
}, async () => {
  const outcome = await runByUrl(pool, least);
  askedForModulesOnly(outcome);
  ok(outcome.asked.includes("/src/local/compressor_worker.ts"));
  equal(outcome.printed, "1000,2000\n");
});

test("mod.ts by URL has types that take no package", { skip }, async () => {
  askedForModulesOnly(await runByUrl(pipeline, (host) => ["check", `--allow-import=${host}`]));
});

test("mod.ts by URL would be seen to ask for a package, and for another host", {
  skip,
}, async () => {
  const program = (host: string) => `
    import "http://${host}/mod.ts";
    for (const name of ["npm:commander@15.1.0", "http://example.com/a.ts", "https://example.com/b.ts"]) {
      await import(name).catch(() => {});
    }
  `;
  const { asked } = await runByUrl(program, () => ["run", "-A"]);
  const strangers = asked.filter((url) => !/^\/(mod|src\/[\w/]+)\.[jt]s$/.test(url));
  deepEqual(
    [...new Set(strangers)].sort(),
    ["/npm/commander", "example.com:443", "http://example.com/a.ts"],
  );
});

test("cli.ts by URL runs, and fetches commander", {
  skip: whyNot("cli.ts by URL", deno, npmRegistry),
}, async () => {
  await withDirectory((cwd) =>
    withServer(async (host, asked) => {
      const env = { ...process.env, NO_COLOR: "1", DENO_DIR: join(cwd, "cache") };
      const args = ["run", "-A", `http://${host}/cli.ts`, "version"];
      match(await execute(deno(), args, { cwd, env }), new RegExp(`^montana ${VERSION} \\(deno `));
      ok(asked.includes("/src/cli/deps.ts"));
    })
  );
});

test("cli.ts by URL makes commitments, with what it fetches for that", {
  skip: whyNot("KZG by URL", deno, npmRegistry),
}, async () => {
  await withDirectory((cwd) =>
    withServer(async (host, asked) => {
      const env = { ...process.env, NO_COLOR: "1", DENO_DIR: join(cwd, "cache") };
      for (const engine of ["auto", "portable"]) {
        const args = ["run", "-A", `http://${host}/cli.ts`, "doctor", "--kzg", engine, "--json"];
        const [found, tested] = JSON.parse(await execute(deno(), args, { cwd, env }));
        equal(tested.status, "ok");
        equal(tested.details.engine, found.details.engine);
        const isAddonThere = engine === "auto" &&
          `${process.platform}-${process.arch}` === "linux-x64";
        equal(found.details.engine, isAddonThere ? "native" : "portable");
      }
      ok(asked.includes("/src/l1/kzg_worker.ts"));
    })
  );
});

test("a copy of the sources in another program takes packages by their pinned names", {
  skip: whyNot("a copy of the sources", deno, npmRegistry),
}, async () => {
  await withDirectory(async (cwd) => {
    for (const name of ["mod.ts", "src"]) {
      await cp(join(root, name), join(cwd, "lib", name), { recursive: true });
    }
    const program = `
      import { JwtSecret, systemClock } from "./lib/mod.ts";
      const secret = await JwtSecret.from(new Uint8Array(32), systemClock);
      await secret.check(await secret.authorization());
      console.log("signed");
    `;
    await writeFile(join(cwd, "main.ts"), program);
    const env = { ...process.env, NO_COLOR: "1", DENO_DIR: join(cwd, "cache") };
    equal(await execute(deno(), ["run", "-A", "main.ts"], { cwd, env }), "signed\n");
  });
});

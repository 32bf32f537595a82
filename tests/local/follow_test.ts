import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { appendFile, rename, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { SourceError } from "../../src/errors.ts";
import { formatBlockLine } from "../../src/local/block_line.ts";
import { FileBlockSource } from "../../src/local/file_block_source.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import { content, plainBlocks, withDirectory } from "../helpers.ts";

/** The lines of blocks `first` to `first + count - 1`. */
function linesOf(first: number, count: number): string {
  const origin = { batchNumber: 0n, l1Origin: 0n, l1Block: 0n };
  return plainBlocks(count, { first, size: 50 })
    .map((block) => formatBlockLine({ ...block, ...origin }) + "\n").join("");
}

/** A source that follows a file of `count` blocks, and has read them. */
async function following(
  action: (source: FileBlockSource, path: string, text: string) => Promise<void>,
  count = 4,
): Promise<void> {
  await withDirectory(async (directory) => {
    const path = join(directory, "blocks.jsonl");
    const text = linesOf(0, count);
    await writeFile(path, text);
    const source = await FileBlockSource.open(path, { l1: new MemoryL1(), follow: true });
    try {
      equal((await source.pendingBlocks()).length, count);
      await action(source, path, text);
    } finally {
      await source.close();
    }
  });
}

/** Sees to it that the change is seen, however coarse the clock of the file system is. */
async function touch(path: string): Promise<void> {
  const later = new Date(Date.now() + 60_000);
  await utimes(path, later, later);
}

function changed(message: RegExp) {
  return { name: "SourceError", code: "Changed", kind: "critical", message } as const;
}

test("FileBlockSource follows a file as it grows, by whole lines", async () => {
  await following(async (source, path) => {
    deepEqual(await source.pendingBlocks(), []);
    equal(source.isExhausted, false);
    const more = linesOf(4, 3);
    for (const part of [more.slice(0, 30), more.slice(30, more.length - 20)]) {
      await appendFile(path, part);
      await source.pendingBlocks();
    }
    deepEqual(await source.pendingBlocks(), []);
    await appendFile(path, more.slice(-20) + linesOf(7, 1));
    deepEqual(
      content(await source.pendingBlocks()),
      content(plainBlocks(2, { first: 6, size: 50 })),
    );
  });
});

test("FileBlockSource follows a file that was empty at first", async () => {
  await following(async (source, path) => {
    await appendFile(path, linesOf(0, 2));
    equal((await source.pendingBlocks()).length, 2);
  }, 0);
});

test("FileBlockSource refuses a file that was cut while it was followed", async () => {
  await following(async (source, path, text) => {
    await truncate(path, text.length - 1);
    await rejects(source.pendingBlocks(), changed(/it had \d+ bytes and has \d+ now/));
    await writeFile(path, text); // Too late: nobody knows what was in between.
    await rejects(source.pendingBlocks(), changed(/it had/));
    equal(source.isExhausted, false);
  });
});

test("FileBlockSource refuses a file that was replaced by another while it was followed", async () => {
  await following(async (source, path, text) => {
    await writeFile(`${path}.new`, text + linesOf(4, 1));
    await rename(`${path}.new`, path);
    await rejects(source.pendingBlocks(), changed(/another file has taken its name/));
  });
});

test("FileBlockSource refuses a file that was removed while it was followed", async () => {
  await following(async (source, path) => {
    await rm(path);
    await rejects(source.pendingBlocks(), { code: "NotFound", message: /no such file/ });
  });
});

test("FileBlockSource refuses a file that was rewritten in place, and gives nothing appended then", async () => {
  for (const at of [20, -20]) {
    for (const appended of ["", linesOf(100, 1)]) {
      await following(async (source, path, text) => {
        const bytes = new TextEncoder().encode(text + appended);
        bytes[at < 0 ? text.length + at : at]! ^= 1;
        await writeFile(path, bytes);
        await touch(path);
        const refusal = changed(/the bytes at \d+ are others than those read before/);
        await rejects(source.pendingBlocks(), refusal);
        await rejects(source.pendingBlocks(), refusal);
      }, 100);
    }
  }
});

test("FileBlockSource takes no offence at a file that was only touched", async () => {
  await following(async (source, path) => {
    await touch(path);
    deepEqual(await source.pendingBlocks(), []);
    await appendFile(path, linesOf(4, 1));
    equal((await source.pendingBlocks()).length, 1);
  });
});

test("FileBlockSource refuses a file that gets shorter under a reader that does not follow", async () => {
  await withDirectory(async (directory) => {
    const path = join(directory, "blocks.jsonl");
    const text = linesOf(0, 6000); // More than one piece.
    await writeFile(path, text);
    const source = await FileBlockSource.open(path, { l1: new MemoryL1(), maxBytesPerCall: 1000 });
    equal((await source.pendingBlocks()).length > 0, true);
    await truncate(path, 400_000);
    const readRest = async () => {
      while (!source.isExhausted) await source.pendingBlocks();
    };
    // In the middle of a line, or at the end of one: it is not the whole file.
    await rejects(readRest(), { name: "SourceError", kind: "critical" });
    equal(source.isExhausted, false);
  });
});

test("FileBlockSource refuses gzip that was replaced or rewritten while it was read", async () => {
  const changes: ((path: string, data: Uint8Array) => Promise<void>)[] = [
    (path, data) => writeFile(path, data.subarray(0, -1)),
    (path, data) => writeFile(path, Buffer.concat([data, data])),
    async (path, data) => {
      await writeFile(`${path}.new`, data);
      await rename(`${path}.new`, path);
    },
  ];
  for (const change of changes) {
    await withDirectory(async (directory) => {
      const path = join(directory, "blocks.jsonl.gz");
      const data = gzipSync(linesOf(0, 500));
      await writeFile(path, data);
      const options = { l1: new MemoryL1(), maxBytesPerCall: 1000 };
      const source = await FileBlockSource.open(path, options);
      equal((await source.pendingBlocks()).length > 0, true);
      await change(path, data);
      const readRest = async () => {
        while (!source.isExhausted) await source.pendingBlocks();
      };
      // Of a file written twice over, blocks that begin anew may be seen before the change is.
      await rejects(
        readRest(),
        (error: SourceError) =>
          error.code === "InvalidBlock"
            ? /its timestamp 1000 is below/.test(error.message)
            : error.code === "Changed" && /it changed while it was read/.test(error.message),
      );
    });
  }
});

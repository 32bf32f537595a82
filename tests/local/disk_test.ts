import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { SinkError, SourceError } from "../../src/errors.ts";
import {
  createFile,
  makeDirectory,
  probeWritable,
  readError,
  replaceFile,
  syncDirectory,
  systemCode,
  writeError,
} from "../../src/local/disk.ts";
import { withDirectory } from "../helpers.ts";

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: as the system says it, write`), { code });
}

test("writeError() tells a full disk, which passes, from what does not", () => {
  const cases = [
    ["ENOSPC", "NoSpace", "temporary", /no space left on the device/],
    ["EDQUOT", "NoSpace", "temporary", /the disk quota is used up/],
    ["EACCES", "Unwritable", "critical", /permission denied/],
    ["EROFS", "Unwritable", "critical", /the file system is read-only/],
    ["ENOENT", "Unwritable", "critical", /there is no such file or directory/],
    ["ENOTDIR", "Unwritable", "critical", /a part of the path is no directory/],
    ["EIO", "Unwritable", "critical", /the device failed to read or write/],
    ["EWEIRD", "Unwritable", "critical", /EWEIRD: as the system says it/],
  ] as const;
  for (const [code, expected, kind, message] of cases) {
    const cause = systemError(code);
    const error = writeError("blocks to", "/x/out", cause);
    deepEqual([error.code, error.kind, error.cause], [expected, kind, cause], code);
    equal(error.message.startsWith("Cannot write blocks to /x/out: "), true);
    equal(message.test(error.message), true, error.message);
  }
  const known = new SinkError("Timeout", "late");
  equal(writeError("blocks to", "/x", known), known);
  equal(
    writeError("blocks to", "/x", "thrown text").message,
    "Cannot write blocks to /x: thrown text",
  );
});

test("readError() tells what is missing from what cannot be read", () => {
  equal(readError("a block", "/x", systemError("ENOENT")).code, "NotFound");
  equal(readError("a block", "/x", systemError("EACCES")).code, "Unreadable");
  equal(
    readError("a block", "/x", systemError("EISDIR")).message,
    "Cannot read a block /x: it is a directory",
  );
  const known = new SourceError("Gap", "gap");
  equal(readError("a block", "/x", known), known);
  equal(systemCode(null), undefined);
  equal(systemCode({ code: 5 }), undefined);
});

test("replaceFile() replaces a file whole, and createFile() never does", async () => {
  await withDirectory(async (path) => {
    const file = join(path, "file");
    equal(await createFile(file, "one"), true);
    equal(await createFile(file, "two"), false);
    equal(await readFile(file, "utf8"), "one");
    await replaceFile(file, Uint8Array.of(0x33));
    equal(await readFile(file, "utf8"), "3");
    const created = await Promise.all(
      ["a", "b", "c", "d"].map((text) => createFile(`${file}2`, text)),
    );
    deepEqual(created.filter((each) => each).length, 1);
    equal(await readFile(`${file}2`, "utf8"), "abcd"[created.indexOf(true)]);
    await Promise.all(
      Array.from({ length: 8 }, (_, at) => replaceFile(file, `${at}`.repeat(5000))),
    );
    equal(/^(.)\1{4999}$/.test(await readFile(file, "utf8")), true);
    deepEqual((await readdir(path)).sort(), ["file", "file2"]);
    await syncDirectory(path);
  });
});

test("replaceFile() that fails leaves the old file, and nothing besides", async () => {
  await withDirectory(async (path) => {
    await mkdir(join(path, "target/inside"), { recursive: true });
    await rejects(replaceFile(join(path, "target"), "x")); // No file goes over a directory.
    await rejects(replaceFile(join(path, "missing/file"), "x"), { code: "ENOENT" });
    deepEqual(await readdir(path), ["target"]);
    await writeFile(join(path, "file"), "");
    await rejects(probeWritable(join(path, "file")), { code: "ENOTDIR" });
    await probeWritable(path);
    deepEqual((await readdir(path)).sort(), ["file", "target"]);
  });
});

test("makeDirectory() makes what is missing, takes what is there, and tells what cannot be", async () => {
  await withDirectory(async (directory) => {
    await Promise.all(["a/b/c", "a/b/d", "a"].map((path) => makeDirectory(join(directory, path))));
    deepEqual((await readdir(join(directory, "a/b"))).sort(), ["c", "d"]);
    await writeFile(join(directory, "file"), "");
    await rejects(makeDirectory(join(directory, "file")), { code: "EEXIST" });
    await rejects(makeDirectory(join(directory, "file/a/b")), { code: "ENOTDIR" });
    // With `recursive`, Node 22 would never come back from here.
    await rejects(makeDirectory("/proc/montana/a"));
  });
});

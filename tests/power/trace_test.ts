import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { breaches, type Call, isSaid, parseTrace } from "./trace.ts";

/** A file is replaced, a log written, and both are told of: in the right order, over two threads. */
const GOOD = `
7  mkdir("log", 0777) = 0
7  fsync(3</d>) = 0
7  openat(AT_FDCWD</d>, "log/head.tmp", O_WRONLY|O_CREAT, 0666) = 4</d/log/head.tmp>
7  write(4</d/log/head.tmp>, "a \\"b\\" > c", 9) = 9
8  fdatasync(4</d/log/head.tmp> <unfinished ...>
7  write(2<pipe:[1]>, "starting", 8) = 8
8  <... fdatasync resumed>) = 0
8  rename("log/head.tmp", "log/head") = 0
8  fsync(5</d/log>) = 0
7  openat(AT_FDCWD</d>, "/d/log/1.wal", O_WRONLY|O_CREAT, 0666) = 6</d/log/1.wal>
8  fsync(5</d/log>) = 0
7  write(6</d/log/1.wal>, "record"..., 500) = 500
8  fdatasync(6</d/log/1.wal>) = 0
7  write(1<pipe:[1]>, "acknowledged\\n", 13) = 13
7  write(9</cache/a.tmp>, "the runtime's own", 17) = 17
7  rename("/cache/a.tmp", "/cache/a") = 0
7  openat(AT_FDCWD</d>, "missing", O_WRONLY|O_CREAT, 0666) = -1 ENOENT (No such file or directory)
7  +++ exited with 0 +++
`.trim().split("\n");

/** What is wrong with these lines. */
function judge(lines: readonly string[]): string[] {
  const isAcknowledgement = (call: Call) => isSaid(call) && call.text.includes("acknowledged");
  return breaches(parseTrace(lines.join("\n"), "/d"), [{ when: isAcknowledgement, under: "/d" }]);
}

const lineWith = (text: string) => GOOD.findIndex((line) => line.includes(text));

/** The good lines, with that which has `text` after the next. */
function delayed(text: string): string[] {
  const at = lineWith(text);
  return [...GOOD.slice(0, at), GOOD[at + 1]!, GOOD[at]!, ...GOOD.slice(at + 2)];
}

test("breaches() finds none where all is synced in order", () => {
  deepEqual(judge(GOOD), []);
  deepEqual(parseTrace(GOOD.join("\n"), "/d").map(({ kind, path }) => `${kind} ${path}`), [
    ...["make /d/log", "sync /d", "make /d/log/head.tmp", "write /d/log/head.tmp"],
    ...["sync /d/log/head.tmp", "write pipe:[1]", "move /d/log/head", "sync /d/log"],
    ...["make /d/log/1.wal", "sync /d/log", "write /d/log/1.wal", "sync /d/log/1.wal"],
    "write pipe:[1]",
  ]);
});

test("breaches() finds an acknowledgement before the sync, and each sync that is missing", () => {
  deepEqual(judge(delayed("fdatasync(6")), ["line 13: bytes of /d/log/1.wal not synced"]);
  const without = (text: string) => judge(GOOD.filter((_, at) => at !== lineWith(text)));
  deepEqual(without("fsync(3</d>)"), ["line 13: name of /d/log not synced"]);
  deepEqual(without("fdatasync(6"), ["line 13: bytes of /d/log/1.wal not synced"]);
  deepEqual(judge(GOOD.filter((line) => !line.includes("fsync(5"))), [
    "line 12: name of /d/log/1.wal not synced",
  ]);
});

test("breaches() finds a rename before the sync of its bytes, and a sync that began too early", () => {
  deepEqual(judge(delayed("fdatasync resumed")), ["line 7: bytes of /d/log/head.tmp not synced"]);
  const early = [...GOOD];
  const [write, sync] = ["write(6", "fdatasync(6"].map(lineWith);
  early[write!] = `8  fdatasync(6</d/log/1.wal> <unfinished ...>`;
  early[sync!] = `${GOOD[write!]}\n8  <... fdatasync resumed>) = 0`;
  deepEqual(judge(early), ["line 15: bytes of /d/log/1.wal not synced"]);
});

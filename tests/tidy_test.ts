/**
 * What no compiler holds: the rows of the architecture, and the house rules. Each rule is a function
 * of a tree of files, so that it is also shown a tree that breaks it: a rule that cannot fail holds
 * nothing.
 *
 * @module
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { rowOf, ROWS } from "./tidy_rows.ts";

/** Paths from the top of the repository, and what is in them. */
type Tree = ReadonlyMap<string, string>;

/** Each problem is `path: what is wrong`. */
interface Rule {
  readonly name: string;
  readonly check: (tree: Tree) => string[];
  /** Breaks the rule in just the ways that `problems` tells of. */
  readonly planted: Readonly<Record<string, string>>;
  readonly problems: readonly string[];
}

const LINES_MAX = 450;
const TOP_LEVEL = ["deno.json", "deno.lock", "mod.ts", "cli.ts", "src", "tests", "scripts"]
  .concat("README.md", "LICENSE")
  .concat("node_modules", "dist"); // Not in git.

function isSource(path: string): boolean {
  return /^(src\/.*|cli|mod)\.ts$/.test(path) && !isGenerated(path);
}

function isGenerated(path: string): boolean {
  return path.startsWith("src/compress/brotli_wasm");
}

/** Without comments, so that prose may name what code must not. Relies on `deno fmt`. */
function code(text: string): string {
  return text.replace(/^\s*\/\*[^]*?\*\//gm, "").replace(/(^|\s)\/\/.*$/gm, "");
}

const IMPORTS = [
  /^(?:import|export)\s+(?:[^"'`;=()]*?\bfrom\s+)?"([^"]+)"/gm,
  /\b(?:import|require)\(\s*"([^"]+)"/g,
  /\bnew URL\(\s*"(\.[^"]+\.ts)",\s*import\.meta\.url/g, // A worker.
];

/** What a file imports, by value or by type, now or later. */
function importsOf(text: string): string[] {
  const source = code(text);
  return IMPORTS.flatMap((pattern) => [...source.matchAll(pattern)].map((match) => match[1]!));
}

/** The files that each file imports. */
function graphOf(tree: Tree): Map<string, string[]> {
  const graph = new Map<string, string[]>();
  for (const [path, text] of tree) {
    if (!path.endsWith(".ts")) continue;
    const relative = importsOf(text).filter((name) => name.startsWith("."));
    graph.set(path, relative.map((name) => posix.join(posix.dirname(path), name)));
  }
  return graph;
}

/** Calls `find` for each file of the source, and puts the path before what it finds. */
function inSource(tree: Tree, find: (path: string, text: string) => string[]): string[] {
  const files = [...tree].filter(([path]) => isSource(path));
  return files.flatMap(([path, text]) => find(path, text).map((problem) => `${path}: ${problem}`));
}

function importsAgainstRows(tree: Tree): string[] {
  const graph = graphOf(tree);
  return inSource(tree, (path) => {
    const row = rowOf(path);
    if (row === undefined) return ["belongs to no row"];
    const targets = graph.get(path)!.filter((target) => target.endsWith(".ts"));
    return targets.flatMap((target) => {
      const other = rowOf(target);
      if (other === row || ROWS[row]!.uses.includes(other ?? "")) return [];
      return [`${row} imports ${target} (${other ?? "no row"})`];
    });
  });
}

function importCycles(tree: Tree): string[] {
  const graph = graphOf(tree);
  const done = new Set<string>();
  const problems: string[] = [];
  const visit = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) problems.push([...trail.slice(start), path].join(" -> "));
    if (start >= 0 || done.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return problems;
}

function nodeImports(tree: Tree): string[] {
  return inSource(tree, (path, text) => {
    if (["edges", "rim"].includes(rowOf(path) ?? "")) return [];
    return importsOf(text)
      .filter((name) => name.startsWith("node:"))
      .filter((name) => !(name === "node:zlib" && path.startsWith("src/compress/")))
      .map((name) => `imports ${name}`);
  });
}

function packageImports(tree: Tree): string[] {
  return inSource(tree, (path, text) => {
    const isEdge = ["edges", "rim"].includes(rowOf(path) ?? "");
    if (isEdge && posix.basename(path) === "deps.ts") return [];
    const named = [...code(text).matchAll(/["'`](npm:[^"'`]+)/g)].map((match) => match[1]!);
    const imported = importsOf(text).filter((name) =>
      name.includes("node_modules") || !/^(\.|node:|npm:)/.test(name)
    );
    return [...imported, ...named].map((name) => `names package ${name}`);
  });
}

/** Time, chance, network and files reach these rows through ports, so that all can be simulated. */
const AMBIENT = [
  ...[/\bDate\.now\b/, /\bnew Date\(\)/, /\bperformance\.now\b/, /\bMath\.random\b/],
  ...[/\bcrypto\.(?:getRandomValues|randomUUID)\b/, /\bset(?:Timeout|Interval|Immediate)\b/],
  // Not `port.fetch(`, nor `this.process.`.
  ...[/(?<![.#\w]|\bfunction )(?:globalThis\.)?fetch\(/, /(?<![.#\w])(?:Deno|Bun|process)\./],
];

function ambientAccess(tree: Tree): string[] {
  return inSource(tree, (path, text) => {
    if (!["pure", "flows"].includes(rowOf(path) ?? "")) return [];
    const found = AMBIENT.map((pattern) => pattern.exec(code(text))?.[0]);
    return found.filter((match) => match !== undefined).map((match) => `mentions ${match}`);
  });
}

function versions(tree: Tree): string[] {
  const config = JSON.parse(tree.get("deno.json") ?? "{}");
  const pinned = new Map<string, string>();
  const problems: string[] = [];
  const packages = /npm:((?:@[\w.-]+\/)?[\w.-]+)@([^"'`/\s]+)/g;
  for (const target of Object.values<string>(config.imports ?? {})) {
    for (const [, name, version] of target.matchAll(packages)) {
      pinned.set(name!, version!);
      if (!/^\d+\.\d+\.\d+/.test(version!)) {
        problems.push(`deno.json: ${name}@${version} is no pin`);
      }
    }
  }
  for (const [path, text] of tree) {
    if (posix.basename(path) !== "deps.ts") continue;
    for (const [, name, version] of text.matchAll(packages)) {
      if (pinned.get(name!) === version) continue;
      problems.push(`${path}: ${name}@${version}, deno.json has ${pinned.get(name!)}`);
    }
  }
  const version = /\bVERSION\b[^"]*"([^"]+)"/.exec(tree.get("src/version.ts") ?? "")?.[1];
  if (tree.has("src/version.ts") && version !== config.version) {
    problems.push(`src/version.ts: ${version}, deno.json has ${config.version}`);
  }
  return problems;
}

function moduleDocs(tree: Tree): string[] {
  return inSource(tree, (_, text) => {
    const head = /^(?:#!.*\n)?(?:\/\/ deno-.*\n)*\/\*\*[^]*?\*\//.exec(text)?.[0] ?? "";
    return head.includes("@module") ? [] : ["does not start with a doc comment with @module"];
  });
}

function longFiles(tree: Tree): string[] {
  return [...tree].flatMap(([path, text]) => {
    const lines = text.split("\n").length - 1;
    const isTooLong = path.endsWith(".ts") && !isGenerated(path) && lines > LINES_MAX;
    return isTooLong ? [`${path}: ${lines} lines, at most ${LINES_MAX}`] : [];
  });
}

function consoleInLibrary(tree: Tree): string[] {
  return inSource(tree, (path, text) => {
    if (!path.startsWith("src/") || /^src\/(cli\/|runtime\.ts)/.test(path)) return [];
    return /\bconsole\./.test(code(text)) ? ["mentions console."] : [];
  });
}

/** Under Deno 2.9.6 these are the loose ones even out of `node:assert/strict`: 1n equals "1". */
function looseAssertions(tree: Tree): string[] {
  const imports = /^import \{([^}]*)\} from "node:assert(?:\/strict)?"/gm;
  return [...tree].filter(([path]) => path.startsWith("tests/")).flatMap(([path, text]) => {
    const names = [...text.matchAll(imports)].flatMap((match) => match[1]!.split(","));
    const loose = names.map((name) => name.trim()).filter((name) =>
      /^(not)?(deep)?equal/i.test(name)
    );
    return loose.map((name) => `${path}: ${name} is loose, take strictEqual or deepStrictEqual`);
  });
}

/** From the tests by imports, or from `cli.ts`, which tests start as a process. */
function unreachedFiles(tree: Tree): string[] {
  const graph = graphOf(tree);
  const open = [...graph.keys()].filter((path) => path === "cli.ts" || path.startsWith("tests/"));
  const reached = new Set<string>();
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    // Through `mod.ts` everything is reached.
    if (path !== "mod.ts") open.push(...graph.get(path) ?? []);
  }
  return inSource(tree, (path) => reached.has(path) ? [] : ["reached by no test"]);
}

function topLevel(tree: Tree): string[] {
  const names = new Set([...tree.keys()].map((path) => path.split("/")[0]!));
  const strange = [...names].filter((name) => !name.startsWith(".") && !TOP_LEVEL.includes(name));
  return strange.map((name) => `${name}: not at the top level`);
}

const RULES: readonly Rule[] = [
  {
    name: "imports follow the rows",
    check: importsAgainstRows,
    planted: {
      "src/types.ts": `export type * from "./errors.ts";\nimport { a } from "./wire/batch.ts";\n`,
      "src/wire/batch.ts": `import {\n  b,\n} from "../l1/blob.ts";\n`,
      "src/wal/log.ts": `import type { C } from "../local/files.ts";\n`,
      "src/l1/blob.ts": `import "../retry.ts";\nexport * from "../pipeline/batcher.ts";\n`,
      "src/l2/engine.ts": `const e = await import("../cli/run.ts");\n`,
      "src/local/worker.ts": `new Worker(new URL("../wal/worker.ts", import.meta.url));\n`,
      "src/other/x.ts": ``,
      "src/retry.ts": `/**\n * import { f } from "./cli/run.ts";\n */\nimport "../tests/x.ts";\n`,
      "mod.ts": `export * from "./src/wal/log.ts";\nexport * from "./src/l1/blob.ts";\n`,
    },
    problems: [
      "src/types.ts: words imports src/wire/batch.ts (pure)",
      "src/wire/batch.ts: pure imports src/l1/blob.ts (edges)",
      "src/wal/log.ts: flows imports src/local/files.ts (edges)",
      "src/l1/blob.ts: edges imports src/pipeline/batcher.ts (flows)",
      "src/l2/engine.ts: edges imports src/cli/run.ts (rim)",
      "src/local/worker.ts: edges imports src/wal/worker.ts (flows)",
      "src/other/x.ts: belongs to no row",
      "src/retry.ts: pure imports tests/x.ts (no row)",
    ],
  },
  {
    name: "no import cycles",
    check: importCycles,
    planted: {
      "src/types.ts": `import type { P } from "./ports.ts";\n`,
      "src/ports.ts": `import type { T } from "./types.ts";\n`,
      "src/wal/a.ts": `import "./b.ts";\n`,
      "src/wal/b.ts": `import "../types.ts";\n`,
    },
    problems: ["src/types.ts -> src/ports.ts -> src/types.ts"],
  },
  {
    name: "node: stays at the edges",
    check: nodeImports,
    planted: {
      "src/wal/log.ts": `import { open } from "node:fs/promises";\n`,
      "src/wire/batch.ts": `import { crc32 } from "node:zlib";\n`,
      "src/compress/zstd.ts": `import { zstdCompress } from "node:zlib";\n`,
      "src/local/files.ts": `import { open } from "node:fs/promises";\n`,
    },
    problems: [
      "src/wal/log.ts: imports node:fs/promises",
      "src/wire/batch.ts: imports node:zlib",
    ],
  },
  {
    name: "packages are named in deps.ts of an edge",
    check: packageImports,
    planted: {
      "src/l1/deps.ts": `import type * as Viem from "npm:viem@2.57.0";\n`,
      "src/l1/sink.ts": `import { createClient } from "viem";\n`,
      "src/l1/kzg.ts": `const pinned = "npm:c-kzg@4.1.0";\n`,
      "src/l1/native.ts": `require("../../node_modules/a/b.node");\n`,
      "src/wire/deps.ts": `import { rlp } from "npm:rlp@3.0.0";\n`,
      "cli.ts": `import "https://example.com/x.ts";\n`,
    },
    problems: [
      "src/l1/sink.ts: names package viem",
      "src/l1/kzg.ts: names package npm:c-kzg@4.1.0",
      "src/l1/native.ts: names package ../../node_modules/a/b.node",
      "src/wire/deps.ts: names package npm:rlp@3.0.0",
      "cli.ts: names package https://example.com/x.ts",
    ],
  },
  {
    name: "time, chance and network reach pure code and flows as ports",
    check: ambientAccess,
    planted: {
      "src/wal/log.ts": `// Date.now() is not for here.\nconst t = Date.now();\n`,
      "src/retry.ts": `setTimeout(f, Math.random());\n`,
      "src/pipeline/a.ts": `await fetch(url);\nDeno.exit();\nthis.#process.fetch(url);\n`,
      "src/superblock/b.ts": `this.process.run(port.fetch(url));\n`,
      "src/config.ts": `process.env;\nglobalThis.fetch(url);\n`,
      "src/local/clock.ts": `Date.now();\n`,
    },
    problems: [
      "src/wal/log.ts: mentions Date.now",
      "src/retry.ts: mentions Math.random",
      "src/retry.ts: mentions setTimeout",
      "src/pipeline/a.ts: mentions fetch(",
      "src/pipeline/a.ts: mentions Deno.",
      "src/config.ts: mentions globalThis.fetch(",
      "src/config.ts: mentions process.",
    ],
  },
  {
    name: "versions agree",
    check: versions,
    planted: {
      "deno.json": JSON.stringify({
        version: "0.1.0",
        imports: { viem: "npm:viem@2.57.0", yaml: "npm:yaml@^2.0.0", z: "npm:@a/z@1.0.0/sub" },
      }),
      "src/version.ts": `export const VERSION = "0.2.0";\n`,
      "src/l1/deps.ts": `"npm:viem@2.57.0/actions"; "npm:viem@2.57.1"; "npm:@a/z@1.0.0";\n`,
      "src/cli/deps.ts": `import type * as C from "npm:commander@15.1.0";\n`,
    },
    problems: [
      "deno.json: yaml@^2.0.0 is no pin",
      "src/l1/deps.ts: viem@2.57.1, deno.json has 2.57.0",
      "src/cli/deps.ts: commander@15.1.0, deno.json has undefined",
      "src/version.ts: 0.2.0, deno.json has 0.1.0",
    ],
  },
  {
    name: "each file says what it is for",
    check: moduleDocs,
    planted: {
      "src/types.ts": `/**\n * The nouns.\n *\n * @module\n */\n`,
      "src/l1/deps.ts": `// deno-lint-ignore-file no-import-prefix\n/** Packages. @module */\n`,
      "cli.ts": `#!/usr/bin/env -S deno run -A\n/** The binary. @module */\n`,
      "src/errors.ts": `/** A kind. */\nexport type A = 1;\n/** @module */\n`,
      "src/ports.ts": `import "./types.ts";\n/** @module */\n`,
      "src/compress/brotli_wasm/wasm.ts": `export const a = 1;\n`,
    },
    problems: [
      "src/errors.ts: does not start with a doc comment with @module",
      "src/ports.ts: does not start with a doc comment with @module",
    ],
  },
  {
    name: `no file over ${LINES_MAX} lines`,
    check: longFiles,
    planted: {
      "src/a.ts": "\n".repeat(LINES_MAX),
      "tests/b.ts": "\n".repeat(LINES_MAX + 1),
      "tests/vectors/c.json": "\n".repeat(LINES_MAX + 1),
    },
    problems: [`tests/b.ts: ${LINES_MAX + 1} lines, at most ${LINES_MAX}`],
  },
  {
    name: "the library does not print",
    check: consoleInLibrary,
    planted: {
      "src/wal/log.ts": `console.log("here");\n`,
      "src/l1/sink.ts": `/** console.log */\n`,
      "src/cli/run.ts": `console.log("result");\n`,
      "src/runtime.ts": `console.error("log");\n`,
    },
    problems: ["src/wal/log.ts: mentions console."],
  },
  {
    name: "assertions are strict",
    check: looseAssertions,
    planted: {
      "tests/a_test.ts": `import {\n  deepEqual,\n  ok,\n} from "node:assert/strict";\n`,
      "tests/b_test.ts": `import { deepStrictEqual as deepEqual } from "node:assert/strict";\n`,
    },
    problems: ["tests/a_test.ts: deepEqual is loose, take strictEqual or deepStrictEqual"],
  },
  {
    name: "each file is reached by a test",
    check: unreachedFiles,
    planted: {
      "tests/a_test.ts": `import "../src/a.ts";\nimport "../mod.ts";\n`,
      "src/a.ts": `import "./b.ts";\n`,
      "src/b.ts": ``,
      "src/c.ts": ``,
      "mod.ts": `export * from "./src/c.ts";\n`,
    },
    problems: ["src/c.ts: reached by no test"],
  },
  {
    name: "the top level holds what it should",
    check: topLevel,
    planted: { "package.json": "", ".github/x.md": "", "src/a.ts": "", "lib/b.ts": "" },
    problems: ["package.json: not at the top level", "lib: not at the top level"],
  },
];

/** The repository, less what is not in git; of files that are no text, the names. */
function readTree(): Tree {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const tree = new Map<string, string>();
  for (const top of readdirSync(root, { withFileTypes: true })) {
    if (!top.isDirectory()) tree.set(top.name, readFileSync(root + top.name, "utf8"));
    else if (!/^(\.git|node_modules|dist)$/.test(top.name)) {
      for (const entry of readdirSync(root + top.name, { recursive: true, encoding: "utf8" })) {
        const path = posix.join(top.name, entry.replaceAll("\\", "/"));
        tree.set(path, path.endsWith(".ts") ? readFileSync(root + path, "utf8") : "");
      }
    }
  }
  return tree;
}

const repository = readTree();

test("readTree() finds the source and its tests", () => {
  ok(repository.has("src/types.ts") && repository.has("tests/tidy_test.ts"));
  ok(graphOf(repository).get("src/ports.ts")?.includes("src/types.ts"));
});

for (const rule of RULES) {
  test(`tidy: ${rule.name}`, () => {
    deepStrictEqual(rule.check(repository), []);
  });

  test(`tidy: ${rule.name}, and a breach is seen`, () => {
    deepStrictEqual(
      rule.check(new Map(Object.entries(rule.planted))).sort(),
      [...rule.problems].sort(),
    );
  });
}

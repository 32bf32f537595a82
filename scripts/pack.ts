/**
 * Makes the npm package, for Node and Bun: `deno task pack [--out FILE]`, by default
 * `dist/montana-<version>.tgz`.
 *
 * Node strips no types under `node_modules`, so each source file becomes a `.js` without types and a
 * `.d.ts` beside it. Both are made of that file alone: exports say their types, and only erasable
 * syntax is used, so that nothing has to be inferred or bundled, and what is shipped reads as what was
 * written. Names change: `./a.ts` to `./a.js`, and `npm:commander@15.1.0` to `commander`, which then
 * stands in package.json with that version.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- what a script has to say goes to the terminal
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import ts from "typescript";
import { commitOfCheckout } from "./commit.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** `zstdCompress` came to Node in 22.15. */
const ENGINES = { node: ">=22.15", bun: ">=1.4" };

const OPTIONS: ts.CompilerOptions = {
  // What Node 22 has; `using`, say, is rewritten.
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  strict: true,
};

/** For one kind of machine: npm leaves it out on others, where the program does without it. */
const OPTIONAL: readonly string[] = ["@crate-crypto/node-eth-kzg-linux-x64-gnu"];

/** Used where a user has installed it, which compiles it. */
const PEERS: Readonly<Record<string, string>> = { "c-kzg": "^4.1.0" };

/** What was made. */
export interface Package {
  readonly out: string;
  readonly files: number;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * @param out the file to write; `dist/montana-<version>.tgz` otherwise
 * @throws {Error} naming the file and line of an export whose type is not written out
 */
export function pack(out?: string): Package {
  const config = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const url = Object.keys(config.imports).find((name) => config.imports[name] === "./mod.ts");
  const target = resolve(out ?? join(root, `dist/montana-${config.version}.tgz`));
  const staging = mkdtempSync(join(tmpdir(), "montana-pack-"));
  try {
    const packages = new Set<string>();
    let files = 3;
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(staging, path)), { recursive: true });
      writeFileSync(join(staging, path), text);
      files++;
    };
    for (const path of sources()) {
      // Examples import the package by its name.
      const text = readFileSync(join(root, path), "utf8")
        .replaceAll(url ?? config.name, config.name);
      if (!path.endsWith(".ts") || path.endsWith(".d.ts")) write(path, text);
      else {
        const { js, types } = compile(path, text, (name) => packages.add(name));
        write(path.replace(/\.ts$/, ".js"), js);
        write(path.replace(/\.ts$/, ".d.ts"), types);
      }
    }
    for (const name of ["README.md", "LICENSE"]) {
      copyFileSync(join(root, name), join(staging, name));
    }
    writeFileSync(
      join(staging, "package.json"),
      JSON.stringify(manifest(config, packages), undefined, 2) + "\n",
    );
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join(staging, npmPack(staging)), target);
    const bytes = readFileSync(target);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { out: target, files, bytes: bytes.length, sha256 };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** What is shipped, by its path from the top. */
function sources(): string[] {
  const inside = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .map((path) => `src/${path.replaceAll("\\", "/")}`);
  return ["mod.ts", "cli.ts", ...inside.filter((path) => /\.[jt]s$|\/LICENSE$/.test(path)).sort()];
}

function compile(
  path: string,
  source: string,
  onPackage: (name: string) => void,
): { readonly js: string; readonly types: string } {
  const text = rename(path === "src/version.ts" ? withCommit(source) : source, onPackage);
  const given = { fileName: path, reportDiagnostics: true };
  const js = ts.transpileModule(text, { ...given, compilerOptions: OPTIONS });
  const types = ts.transpileDeclaration(text, {
    ...given,
    compilerOptions: { ...OPTIONS, declaration: true, isolatedDeclarations: true },
  });
  const [problem] = [...js.diagnostics ?? [], ...types.diagnostics ?? []];
  if (problem) {
    const line = problem.file?.getLineAndCharacterOfPosition(problem.start ?? 0).line ?? 0;
    const reason = ts.flattenDiagnosticMessageText(problem.messageText, " ");
    throw new Error(`Cannot pack ${path}, line ${line + 1}: ${reason}`);
  }
  const head = path === "cli.ts" ? "#!/usr/bin/env node\n" : "";
  return { js: head + js.outputText, types: types.outputText };
}

/** Gives the modules that a file imports the names they have in the package. */
function rename(text: string, onPackage: (name: string) => void): string {
  let renamed = "";
  let end = 0;
  for (const { fileName, pos } of ts.preProcessFile(text, true, true).importedFiles) {
    // Of the name inside its quotes.
    const start = text.indexOf(fileName, pos);
    renamed += text.slice(end, start) + packaged(fileName, onPackage);
    end = start + fileName.length;
  }
  return renamed + text.slice(end);
}

function packaged(name: string, onPackage: (name: string) => void): string {
  if (name.startsWith(".")) return name.replace(/(?<!\.d)\.ts$/, ".js");
  if (name.startsWith("node:")) return name;
  const [, bare = "", path = ""] =
    /^(?:npm:)?((?:@[^/]+\/)?[^/@]+)(?:@[^/]+)?(\/.*)?$/.exec(name) ?? [];
  onPackage(bare);
  return bare + path;
}

/** As `--define` does for the executable. */
function withCommit(text: string): string {
  const declared = "declare const MONTANA_COMMIT: string | undefined;";
  if (!text.includes(declared)) throw new Error(`Cannot pack src/version.ts: no "${declared}"`);
  return text.replace(declared, `const MONTANA_COMMIT = ${JSON.stringify(commitOfCheckout())};`);
}

interface Config {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly imports: Readonly<Record<string, string>>;
}

function manifest(config: Config, packages: ReadonlySet<string>): object {
  const pins = [...packages].sort().map((name) => {
    const pin = config.imports[name];
    if (!pin?.startsWith(`npm:${name}@`)) throw new Error(`Cannot pack: no pin of ${name}`);
    return [name, pin.slice(`npm:${name}@`.length)] as const;
  });
  const isOptional = ([name]: readonly [string, string]) => OPTIONAL.includes(name);
  return {
    name: config.name,
    version: config.version,
    description: "L2 blocks in, blobs out, blocks back: a batcher and a deriver",
    license: config.license,
    type: "module",
    engines: ENGINES,
    exports: {
      ".": { types: "./mod.d.ts", default: "./mod.js" },
      "./package.json": "./package.json",
    },
    bin: { montana: "cli.js" },
    dependencies: Object.fromEntries(pins.filter((pin) => !isOptional(pin))),
    optionalDependencies: Object.fromEntries(pins.filter(isOptional)),
    peerDependencies: PEERS,
    peerDependenciesMeta: Object.fromEntries(
      Object.keys(PEERS).map((name) => [name, { optional: true }]),
    ),
  };
}

/** Lets npm make the tarball, which comes out the same each time; gives its name. */
function npmPack(directory: string): string {
  const { error, status, stdout, stderr } = spawnSync("npm", ["pack", "--ignore-scripts"], {
    cwd: directory,
    encoding: "utf8",
  });
  if (error) throw new Error(`Cannot pack: npm: ${error.message}`, { cause: error });
  const name = stdout.trim().split("\n").at(-1) ?? "";
  if (status !== 0 || !name.endsWith(".tgz")) throw new Error(`Cannot pack: npm says ${stderr}`);
  return name;
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({ options: { out: { type: "string" } } });
    const { out, files, bytes, sha256 } = pack(values.out);
    console.log(`${out}\n  ${files} files, ${(bytes / 1e6).toFixed(2)} MB, sha256 ${sha256}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

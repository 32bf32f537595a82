/**
 * Where `montana deriver` hands blocks to: a file, standard output, an execution client.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { ConfigError, SinkError } from "../errors.ts";
import { RpcEndpoints } from "../l1/endpoints.ts";
import { HttpJsonRpc, parseEndpoint } from "../l1/json_rpc.ts";
import type { DerivedMark } from "../l2/derived_heads.ts";
import { EngineClient } from "../l2/engine_client.ts";
import { EngineApiSink, isOnClient } from "../l2/engine_sink.ts";
import { JwtSecret } from "../l2/jwt.ts";
import { FileBlockSink, type FilePosition, StdoutBlockSink } from "../local/file_block_sink.ts";
import type { Log } from "../ports.ts";
import type { RetractingSink } from "../service/block_feed.ts";
import { systemClock, systemRandom } from "../runtime.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { dashed } from "./l1_flags.ts";
import { mustBePath, outOfEnvironment, parseAddress, parseChoice, parseCount } from "./options.ts";
import { type Patience, PatientRpc } from "./patient_rpc.ts";

/** What a state keeps of an output. */
export interface OutStanding {
  readonly written: FilePosition;
  /** The last block that an execution client was handed. */
  readonly head?: DerivedMark;
  /** Of the last block, where blocks were served: see `BlockFeed.digest`. */
  readonly digest?: string;
}

/** An output that takes blocks. */
export interface DerivedOut {
  readonly sink: RetractingSink;
  /** The file, where it is one. */
  readonly path?: string;
  /** Where it stands, once flushed. */
  standing(): OutStanding;
  /** Takes back what an earlier run handed over and L1 lost since; the output is at what is left already. */
  takeBack(blocks: number): Promise<void>;
  close(): Promise<void>;
}

/** An output that is not opened yet. */
export interface OutPlace {
  /** As states name it. */
  readonly name: string;
  /** As the flag says it, without what may be a key in a URL. */
  readonly text: string;
  readonly isStdout: boolean;
  /** Whether it still holds what it held then. */
  holds(state: OutStanding): Promise<boolean>;
  /** @param from where an earlier run left it */
  open(from: OutStanding | undefined): Promise<DerivedOut>;
}

const PARENT_CHECKS = ["on", "off"] as const;

/** Of an execution client. */
export const ENGINE_FLAGS: readonly Flag[] = [
  {
    flags: "--jwt-secret <file>",
    help: "for an execution client: the secret of its Engine API, 64 hexadecimal digits",
  },
  {
    flags: "--first-block <n>",
    help: "number of the first block that was ever derived",
    value: "1",
  },
  { flags: "--gas-limit <n>", help: "of blocks in an execution client (that of the parent)" },
  { flags: "--fee-recipient <address>", help: "of blocks in an execution client (zeros)" },
  {
    flags: "--parent-check <choice>",
    help: "on, or off where batches name no parent that an execution client has",
    value: "on",
    choices: PARENT_CHECKS,
  },
];

/** The output of `--out`. */
export function outPlace(flags: FlagValues, log: Log, patience: Patience): OutPlace {
  const out = outOfEnvironment("--out", textOf(flags, "out") ?? "");
  const isUrl = /^[a-z]+:\/\//i.test(out);
  if (isUrl) return enginePlace(out, flags, log, patience);
  const other = ["jwtSecret", "gasLimit", "feeRecipient"].find((name) => flags[name] !== undefined);
  if (other !== undefined) {
    const flag = ENGINE_FLAGS.find(({ flags }) => flags.startsWith(`--${dashed(other)} `))!.flags;
    throw new ConfigError(
      "Usage",
      `Cannot use ${
        flag.split(" ")[0]
      } with --out ${out}: it is for an execution client, whose URL --out is`,
    );
  }
  mustBePath("--out", out);
  return out === "-" ? STDOUT : filePlace(out);
}

/** Number of the first block that was ever derived. */
export function firstBlockOf(flags: FlagValues): bigint {
  const text = textOf(flags, "firstBlock") ?? "1";
  return BigInt(parseCount("--first-block", text, 1, Number.MAX_SAFE_INTEGER));
}

const NOTHING_WRITTEN = { written: { blocks: 0, bytes: 0 } };

const STDOUT: OutPlace = {
  name: "standard output",
  text: "-",
  isStdout: true,
  holds: () => Promise.resolve(true),
  open: () => {
    const sink = new StdoutBlockSink();
    return Promise.resolve({
      sink,
      standing: () => NOTHING_WRITTEN,
      takeBack: (blocks) => sink.retract(blocks),
      close: () => Promise.resolve(),
    });
  },
};

function filePlace(path: string): OutPlace {
  return {
    name: resolve(path),
    text: path,
    isStdout: false,
    holds: async ({ written }) => {
      if (written.bytes === 0) return true;
      return await stat(path).then(({ size }) => size, () => 0) >= written.bytes;
    },
    open: async (from) => {
      const sink = await FileBlockSink.open(path, from?.written);
      return {
        sink,
        path,
        standing: () => ({ written: sink.position }),
        // It was opened at what is still there: all behind it goes.
        takeBack: () => sink.retract(0),
        close: () => sink.close(),
      };
    },
  };
}

function enginePlace(url: string, flags: FlagValues, log: Log, patience: Patience): OutPlace {
  const secretFile = textOf(flags, "jwtSecret");
  if (secretFile === undefined) {
    throw new ConfigError(
      "Usage",
      "Cannot use an execution client as --out without --jwt-secret: name the file with the secret of " +
        "its Engine API",
    );
  }
  const firstBlock = firstBlockOf(flags);
  const gasLimit = textOf(flags, "gasLimit");
  const feeRecipient = textOf(flags, "feeRecipient");
  const attributes = {
    ...(gasLimit === undefined
      ? {}
      : { gasLimit: BigInt(parseCount("--gas-limit", gasLimit, 1, Number.MAX_SAFE_INTEGER)) }),
    ...(feeRecipient === undefined
      ? {}
      : { feeRecipient: parseAddress("--fee-recipient", feeRecipient) }),
  };
  const check = parseChoice("--parent-check", textOf(flags, "parentCheck") ?? "on", PARENT_CHECKS);

  let connecting: Promise<EngineClient> | undefined;
  const connect = () => connecting ??= engineClient(url, secretFile, log, patience);
  return {
    name: "an execution client",
    text: parseEndpoint(url).host,
    isStdout: false,
    holds: async ({ head }) => !head || await isOnClient(await connect(), head),
    open: async (from) => {
      const client = await connect();
      if (from?.head && !await isOnClient(client, from.head)) {
        throw lostAll(client, from.head.number);
      }
      const sink = new EngineApiSink({ client, clock: systemClock, log }, {
        firstBlock,
        attributes: () => attributes,
        isParentChecked: check === "on",
        signal: patience.signal,
        ...(from?.head ? { from: from.head } : {}),
      });
      const standing = () => {
        const head = sink.position ?? from?.head;
        return head ? { ...NOTHING_WRITTEN, head } : NOTHING_WRITTEN;
      };
      return { sink, standing, takeBack: () => sink.retract(0), close: () => Promise.resolve() };
    },
  };
}

async function engineClient(
  url: string,
  secretFile: string,
  log: Log,
  patience: Patience,
): Promise<EngineClient> {
  const secret = await JwtSecret.read(secretFile, systemClock);
  const headers = async () => ({ authorization: await secret.authorization() });
  const node = new HttpJsonRpc({ url, clock: systemClock, headers });
  const parts = { endpoints: [node], clock: systemClock, random: systemRandom, log };
  return new EngineClient(new PatientRpc(new RpcEndpoints(parts), patience));
}

function lostAll({ name }: EngineClient, number: bigint): SinkError {
  return new SinkError(
    "Changed",
    `Cannot go on with ${name}: it has none of the blocks that it was handed, of which ${number} was the ` +
      "last; with another --data-dir derivation begins anew, and passes over what the client has",
    { details: { block: number } },
  );
}

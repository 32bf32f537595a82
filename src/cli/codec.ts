/**
 * `montana encode` and `montana decode`: one stage of the wire format, for scripts and for looking.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { CodecError } from "../errors.ts";
import { decodeBatch, encodeBatch } from "../wire/batch.ts";
import { batchFromJson, batchToJson } from "../wire/batch_json.ts";
import { fromBlobs, splitBlobs, toBlobs } from "../wire/blob.ts";
import { concatBytes } from "../wire/bytes.ts";
import { open, seal } from "../wire/envelope.ts";
import { shown } from "../wire/hex.ts";
import { type CommandSpec, EXIT, type Flag, type FlagValues, textOf } from "./command.ts";
import { COMPRESSION_FLAGS, compressorFrom } from "./compression.ts";
import { readInput, writeOutput } from "./io.ts";
import { parseChoice } from "./options.ts";

const STAGES = ["raw", "batch", "blob"] as const;

const STREAM_FLAGS: readonly Flag[] = [
  {
    flags: "--stage <stage>",
    help:
      "raw: batch ⇄ bytes · batch: batch ⇄ compressed batch · blob: bytes ⇄ blobs of 131072 bytes",
    isRequired: true,
    choices: STAGES,
  },
  { flags: "--in <file>", help: "input; - is standard input", value: "-" },
  { flags: "--out <file>", help: "output; - is standard output", value: "-" },
];

/** JSON of a batch, or bytes, to the wire. */
export const encode: CommandSpec = {
  name: "encode",
  summary: "Encode one stage: a batch as JSON to bytes, or bytes to blobs",
  flags: [...STREAM_FLAGS, ...COMPRESSION_FLAGS],
  examples: [
    "encode --stage raw --in batch.json --out batch.bin",
    "encode --stage batch --in batch.json | montana encode --stage blob --out blobs.bin",
  ],
  async run(flags) {
    const compressor = compressorFrom(flags);
    await convert(flags, {
      raw: (input) => {
        const { header, blocks } = batchFromJson(parseJson(input));
        return encodeBatch(header, blocks);
      },
      batch: async (input) => {
        const { header, blocks } = batchFromJson(parseJson(input));
        return await seal(encodeBatch(header, blocks), compressor);
      },
      blob: (input) => concatBytes(toBlobs(input)),
    });
    return EXIT.done;
  },
};

/** The wire to the JSON of a batch, or to bytes. */
export const decode: CommandSpec = {
  name: "decode",
  summary: "Decode one stage: bytes to a batch as JSON, or blobs to bytes",
  flags: STREAM_FLAGS,
  examples: [
    "decode --stage raw --in batch.bin",
    "decode --stage blob --in blobs.bin | montana decode --stage batch",
  ],
  async run(flags) {
    await convert(flags, {
      raw: (input) => jsonLine(input),
      batch: async (input) => jsonLine(await open(input, allCompressors())),
      blob: (input) => fromBlobs(splitBlobs(input)),
    });
    return EXIT.done;
  },
};

type Conversion = (input: Uint8Array) => Promise<string | Uint8Array> | string | Uint8Array;

async function convert(
  flags: FlagValues,
  stages: Readonly<Record<typeof STAGES[number], Conversion>>,
): Promise<void> {
  const stage = parseChoice("--stage", textOf(flags, "stage") ?? "", STAGES);
  const input = await readInput(textOf(flags, "in") ?? "-");
  await writeOutput(textOf(flags, "out") ?? "-", await stages[stage](input));
}

function jsonLine(raw: Uint8Array): string {
  return JSON.stringify(batchToJson(decodeBatch(raw))) + "\n";
}

function parseJson(input: Uint8Array): unknown {
  const text = new TextDecoder().decode(input);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CodecError("InvalidHeader", `Cannot read the batch: it is no JSON: ${shown(text)}`, {
      cause,
    });
  }
}

/**
 * What a consensus client handed over, in a log of its own: each payload is in it before it is answered, so
 * that what was acknowledged is there after a crash.
 *
 * | type | record     |                                                        |
 * | ---: | ---------- | ------------------------------------------------------ |
 * |    1 | payload    | one block, with what travels beside it: see below      |
 * |    2 | forkchoice | JSON: which chain is followed, and where the oldest one begins |
 *
 * A payload is u32 and so many bytes of JSON without the transactions, then u32 transactions, each u32 and
 * its bytes, little-endian: in JSON too, a block of 1 MB takes eight times as long to read back.
 *
 * @module
 */
import type { Forkchoice, PayloadEnvelope, PayloadJournal, PayloadRecord } from "../engine.ts";
import { Reader, Writer } from "../wire/bytes.ts";
import { decoded, forgetBefore } from "./journal_log.ts";
import { fromJsonPayload, toJsonPayload } from "./json_payload.ts";
import { Wal, type WalConfig, type WalParts } from "./log.ts";

const RECORD = { payload: 1, forkchoice: 2 } as const;

const PAYLOAD_BYTES = ["parentHash", "feeRecipient", "stateRoot", "receiptsRoot", "logsBloom"]
  .concat("prevRandao", "extraData", "blockHash");
const PAYLOAD_NUMBERS = ["blockNumber", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas"];

/**
 * A {@link PayloadJournal} on a log.
 *
 * @example
 * ```ts
 * import { LogPayloadJournal, MemoryStorage } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const parts = { storage: new MemoryStorage(), directory: "data/payloads" }; // Or DiskStorage.
 * const journal = await LogPayloadJournal.open(parts);
 * const root = { number: 7n, hash: new Uint8Array(32) };
 * await journal.chosen({ head: root.hash, safe: undefined, finalized: undefined, root });
 * await journal.close();
 *
 * const again = await LogPayloadJournal.open(parts);
 * for await (const record of again.read()) {
 *   if (!("forkchoice" in record)) throw new Error("it was no payload");
 *   if (record.forkchoice.root.number !== 7n) throw new Error("it forgot the root");
 * }
 * await again.close();
 * ```
 */
export class LogPayloadJournal implements PayloadJournal {
  readonly #wal: Wal;
  readonly #directory: string;

  private constructor(wal: Wal, directory: string) {
    this.#wal = wal;
    this.#directory = directory;
  }

  /**
   * Opens a journal, and begins one where there is none.
   *
   * @throws {WalError} what opening a log throws
   */
  static async open(
    parts: WalParts,
    config: Partial<WalConfig> = {},
  ): Promise<LogPayloadJournal> {
    return new LogPayloadJournal(await Wal.open(parts, config), parts.directory);
  }

  /** @throws {WalError} what reading a log throws; `Corrupted` where it holds what is no such record */
  read(): AsyncIterable<PayloadRecord> {
    return decoded(
      this.#wal,
      ({ sequence, type, payload }) => ({ sequence, ...recordOf(type, payload) }),
      {
        called: (sequence) => `record ${sequence} of the journal of payloads in ${this.#directory}`,
      },
    );
  }

  taken(envelope: PayloadEnvelope): Promise<bigint> {
    return this.#wal.append(RECORD.payload, encodeEnvelope(envelope));
  }

  chosen(forkchoice: Forkchoice): Promise<bigint> {
    return this.#wal.append(RECORD.forkchoice, toJsonPayload(forkchoice));
  }

  async forget(sequence: bigint): Promise<void> {
    await forgetBefore(this.#wal, sequence);
  }

  async close(): Promise<void> {
    await this.#wal.close();
  }
}

function encodeEnvelope(envelope: PayloadEnvelope): Uint8Array {
  const { transactions } = envelope.payload;
  const json = toJsonPayload({ ...envelope, payload: { ...envelope.payload, transactions: [] } });
  const size = transactions.reduce((sum, { length }) => sum + 4 + length, 4 + json.length + 4);
  const writer = new Writer(size);
  writer.u32(json.length);
  writer.raw(json);
  writer.u32(transactions.length);
  for (const each of transactions) {
    writer.u32(each.length);
    writer.raw(each);
  }
  return writer.bytes;
}

function decodeEnvelope(bytes: Uint8Array): PayloadEnvelope {
  // A copy: transactions are parts of it, and what was read may be a part of more.
  const reader = new Reader(bytes.slice());
  const json = fromJsonPayload(reader.bytes(reader.u32("size of JSON"), "JSON"));
  const count = reader.u32("transactions");
  const transactions: Uint8Array[] = [];
  while (transactions.length < count) {
    transactions.push(reader.bytes(reader.u32("length"), "transaction"));
  }
  reader.end("the last transaction");
  const envelope = Object(json) as PayloadEnvelope;
  const payload = Object(envelope.payload) as Record<string, unknown>;
  const isWhole = PAYLOAD_BYTES.every((name) => payload[name] instanceof Uint8Array) &&
    PAYLOAD_NUMBERS.every((name) => typeof payload[name] === "bigint");
  if (!isWhole) throw new TypeError("it is no payload");
  return { ...envelope, payload: { ...envelope.payload, transactions } };
}

function recordOf(
  type: number,
  bytes: Uint8Array,
): { envelope: PayloadEnvelope } | { forkchoice: Forkchoice } {
  switch (type) {
    case RECORD.payload:
      return { envelope: decodeEnvelope(bytes) };
    case RECORD.forkchoice: {
      const fields = Object(fromJsonPayload(bytes)) as Record<string, unknown>;
      const { head } = fields;
      const root = Object(fields.root) as Record<string, unknown>;
      const isWhole = head instanceof Uint8Array && root.hash instanceof Uint8Array &&
        typeof root.number === "bigint";
      if (!isWhole) throw new TypeError("it is no forkchoice");
      const { safe, finalized } = fields as Partial<Forkchoice>;
      return { forkchoice: { ...fields as unknown as Forkchoice, safe, finalized } };
    }
    default:
      throw new TypeError(`type ${type} is unknown`);
  }
}

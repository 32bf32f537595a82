/**
 * KZG commitments and proofs: one port, three engines, the same bytes from each.
 *
 * | engine     | package            | where                                     | a blob with cells |
 * | ---------- | ------------------ | ----------------------------------------- | ----------------- |
 * | `native`   | node-eth-kzg, Rust | Linux on x64, in the executable too       | 0.4 s             |
 * | `c-kzg`    | c-kzg, C           | where it was installed, which compiles it | 0.4 s             |
 * | `portable` | micro-eth-signer   | everywhere                                | 2.5 s             |
 *
 * The first two take 1.6 s before their first answer (decision 0014). All take the thread for as long:
 * `kzg_pool.ts` has them work in another.
 *
 * @module
 */
import { CodecError, ConfigError, describeError } from "../errors.ts";
import type { Kzg } from "../ethereum.ts";
import { BLOB_SIZE } from "../wire/blob.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import { cKzg, nativeKzg, portableKzg, trustedSetup } from "./deps.ts";

/** The engines, the fastest first. */
export const KZG_ENGINES = ["native", "c-kzg", "portable"] as const;

/** What does the work. */
export type KzgEngine = (typeof KZG_ENGINES)[number];

/** Which engine is wanted; with `auto` the first that loads. */
export type KzgPreference = "auto" | KzgEngine;

/** Bytes of a commitment, and of a proof: a point of the curve. */
export const POINT_SIZE = 48;

/** Bytes of a field element of a blob. */
export const ELEMENT_SIZE = 32;
/** Of the scalar field of BLS12-381: field elements are below it. */
const MODULUS = fromHex(
  "0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001",
  "modulus",
);

/**
 * Which engine {@link chooseKzg} would take. Only looks for it, which takes milliseconds.
 *
 * @throws {ConfigError} `Invalid` where the one that is wanted is not there
 */
export async function findKzg(preference: KzgPreference = "auto"): Promise<KzgEngine> {
  return await firstOf(preference, async (engine) => {
    await FIND[engine]();
    return engine;
  });
}

/**
 * Makes the first engine that loads, or the one that is wanted. It works in this thread, and making it
 * takes seconds; `openKzg()` gives one that works beside it.
 *
 * @throws {ConfigError} `Invalid` where the one that is wanted is not there
 *
 * @example
 * ```ts
 * import { chooseKzg, toBlobs, versionedHash } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const kzg = await chooseKzg("auto");
 * const [blob] = toBlobs(new Uint8Array(1000).fill(7));
 * const hash = versionedHash(await kzg.commitment(blob!));
 * if (hash.length !== 32 || hash[0] !== 1) throw new Error("unexpected hash");
 * ```
 */
export async function chooseKzg(preference: KzgPreference = "auto"): Promise<Kzg> {
  return await firstOf(preference, async (engine) => new CheckedKzg(engine, await MAKE[engine]()));
}

async function firstOf<T>(
  preference: KzgPreference,
  attempt: (engine: KzgEngine) => Promise<T>,
): Promise<T> {
  const engines = preference === "auto" ? KZG_ENGINES : [preference];
  const reasons: string[] = [];
  for (const engine of engines) {
    try {
      return await attempt(engine);
    } catch (error) {
      // Node tells of a missing module in several lines.
      reasons.push(`${engine}: ${describeError(error).split("\n")[0]}`);
    }
  }
  const others = KZG_ENGINES.filter((each) => each !== preference).join(", ");
  const advice = preference === "auto" ? "install montana again" : `take auto, or one of ${others}`;
  throw new ConfigError(
    "Invalid",
    `Cannot have a KZG engine: ${reasons.join("; ")}; ${advice}`,
    { details: { engine: preference } },
  );
}

/**
 * Refuses what no engine takes.
 *
 * @throws {CodecError} `InvalidBlobSize`, `InvalidFieldElement`
 */
export function assertBlob(blob: Uint8Array): void {
  if (blob.length !== BLOB_SIZE) {
    throw new CodecError(
      "InvalidBlobSize",
      `Cannot commit to a blob of ${blob.length} bytes: need ${BLOB_SIZE}`,
      { details: { value: blob.length } },
    );
  }
  for (let offset = 0; offset < BLOB_SIZE; offset += ELEMENT_SIZE) {
    // True of all that `encodeBlob()` makes.
    if (blob[offset]! < MODULUS[0]!) continue;
    const element = blob.subarray(offset, offset + ELEMENT_SIZE);
    if (isBelow(element, MODULUS)) continue;
    const index = offset / ELEMENT_SIZE;
    const value = toHex(element);
    throw new CodecError(
      "InvalidFieldElement",
      `Cannot commit to a blob: field element ${index} at offset ${offset} is ${value}, need one ` +
        `below the BLS modulus ${toHex(MODULUS)}`,
      { details: { offset, value } },
    );
  }
}

function isBelow(bytes: Uint8Array, bound: Uint8Array): boolean {
  const index = bytes.findIndex((byte, at) => byte !== bound[at]);
  return index >= 0 && bytes[index]! < bound[index]!;
}

/** What an engine does with bytes that were looked at. */
interface Engine {
  commitment(blob: Uint8Array): Uint8Array;
  cellProofs(blob: Uint8Array): readonly Uint8Array[];
  blobProof(blob: Uint8Array, commitment: Uint8Array): Uint8Array;
}

class CheckedKzg implements Kzg {
  readonly engine: KzgEngine;
  readonly #made: Engine;

  constructor(engine: KzgEngine, made: Engine) {
    this.engine = engine;
    this.#made = made;
  }

  // deno-lint-ignore require-await -- what is refused rejects
  async commitment(blob: Uint8Array): Promise<Uint8Array> {
    assertBlob(blob);
    return this.#made.commitment(blob);
  }

  // deno-lint-ignore require-await -- what is refused rejects
  async cellProofs(blob: Uint8Array): Promise<readonly Uint8Array[]> {
    assertBlob(blob);
    return this.#made.cellProofs(blob);
  }

  // deno-lint-ignore require-await -- what is refused rejects
  async blobProof(blob: Uint8Array, commitment: Uint8Array): Promise<Uint8Array> {
    assertBlob(blob);
    try {
      return this.#made.blobProof(blob, commitment);
    } catch (cause) {
      throw new CodecError(
        "InvalidCommitment",
        `Cannot prove a blob against ${toHex(commitment)}: it is no point of the curve`,
        { cause, details: { size: commitment.length } },
      );
    }
  }
}

const FIND: Readonly<Record<KzgEngine, () => Promise<unknown>>> = {
  native: nativeKzg,
  "c-kzg": async () => await cKzg(),
  portable: portableKzg,
};

const MAKE: Readonly<Record<KzgEngine, () => Promise<Engine>>> = {
  native: async () => {
    // With tables a blob takes a third less, once a second and 100 MB have been spent on them.
    const context = (await nativeKzg()).DasContextJs.create({ usePrecomp: false });
    return {
      commitment: (blob) => context.blobToKzgCommitment(blob),
      cellProofs: (blob) => context.computeCellsAndKzgProofs(blob).proofs,
      blobProof: (blob, commitment) => context.computeBlobKzgProof(blob, commitment),
    };
  },
  "c-kzg": async () => {
    const library = await cKzg();
    loadSetupOnce(library);
    // It answers with what is a Buffer in some runtimes.
    const point = (bytes: Uint8Array) => new Uint8Array(bytes);
    return {
      commitment: (blob) => point(library.blobToKzgCommitment(blob)),
      cellProofs: (blob) => library.computeCellsAndKzgProofs(blob)[1].map(point),
      blobProof: (blob, commitment) => point(library.computeBlobKzgProof(blob, commitment)),
    };
  },
  portable: async () => {
    const [{ KZG }, { trustedSetup: setup }] = await Promise.all([portableKzg(), trustedSetup()]);
    const kzg = new KZG(setup);
    const point = (hex: string) => fromHex(hex, "point", POINT_SIZE);
    return {
      commitment: (blob) => point(kzg.blobToKzgCommitment(toHex(blob))),
      cellProofs: (blob) => kzg.computeCellsAndProofs(toHex(blob))[1].map(point),
      blobProof: (blob, commitment) => point(kzg.computeBlobProof(toHex(blob), toHex(commitment))),
    };
  },
};

/** c-kzg has one setup a process, and refuses to load it again. */
function loadSetupOnce(library: ReturnType<typeof cKzg>): void {
  try {
    library.loadTrustedSetup(0);
  } catch (error) {
    if (!/already loaded/i.test(String(error))) throw error;
  }
}

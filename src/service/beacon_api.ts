/**
 * An archive of blobs, answering as beacon nodes do, so that whoever reads blobs from a beacon node can
 * read them here: a deriver of ours with `--beacon`, others as an archiver beside their beacon node.
 *
 * | request                                             |                                            |
 * | --------------------------------------------------- | ------------------------------------------ |
 * | `/eth/v1/beacon/blobs/{slot}?versioned_hashes=…`    | those of them that are kept, whatever the  |
 * |                                                     | slot; 404 where none is                    |
 * | `/eth/v1/beacon/blobs/{slot}`                       | all of the block; 404 where one is missing |
 * | `/eth/v1/beacon/blob_sidecars/{slot}?indices=…`     | as before Osaka, without the header of the |
 * |                                                     | block and its proof, which nobody kept     |
 * | `/eth/v1/beacon/genesis`, `/eth/v1/config/spec`     | how slots are counted here                 |
 * | `/eth/v1/node/version`                              |                                            |
 *
 * Blobs are kept by their hashes, so a slot is needed only where no hash is given. It is looked up by
 * time in what was noted of L1 blocks. By default slots are seconds since 1970, so the slot of a block is
 * its timestamp; an archiver that stands beside a beacon node must count as that does.
 *
 * @module
 */
import { CodecError, describeError } from "../errors.ts";
import type { Kzg } from "../ethereum.ts";
import type { BlobArchive } from "../l1/blob_archive.ts";
import { VERSION } from "../version.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import type { ApiRequest, ApiResponse } from "./api.ts";

/** No block has as many blobs. */
const MAX_ITEMS = 128;
/** Of validators that there never were. All zeros would tell that there are no slots. */
const VALIDATORS_ROOT = `0x${"00".repeat(31)}01`;

/** What is served. */
export interface BeaconApiParts {
  readonly archive: Pick<BlobArchive, "find" | "blockAt">;
  /** For sidecars. */
  readonly kzg: Pick<Kzg, "commitment" | "blobProof">;
  /** Unix seconds of slot 0; 0 otherwise. */
  readonly genesisTime?: bigint;
  /** 1 otherwise. */
  readonly secondsPerSlot?: bigint;
}

/** Answers a request; it does not throw. */
export async function answerBeacon(
  parts: BeaconApiParts,
  { method, url }: Pick<ApiRequest, "method" | "url">,
): Promise<ApiResponse> {
  try {
    if (method !== "GET") {
      return { ...refused(405, `Cannot ${method}: need GET`), headers: { allow: "GET" } };
    }
    const [, endpoint, slot] = /^\/eth\/v1\/(\w+\/\w+)(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    if (slot === undefined) return plain(parts, endpoint) ?? notFound(url.pathname);
    if (endpoint === "beacon/blobs") return await blobs(parts, url, slot);
    if (endpoint === "beacon/blob_sidecars") return await sidecars(parts, url, slot);
    return notFound(url.pathname);
  } catch (error) {
    if (error instanceof CodecError) return refused(400, error.message);
    return refused(500, describeError(error));
  }
}

function plain(
  { genesisTime = 0n, secondsPerSlot = 1n }: BeaconApiParts,
  endpoint: string | undefined,
): ApiResponse | undefined {
  switch (endpoint) {
    case "beacon/genesis":
      return found({
        genesis_time: `${genesisTime}`,
        genesis_validators_root: VALIDATORS_ROOT,
        genesis_fork_version: "0x00000000",
      });
    case "config/spec":
      return found({ SECONDS_PER_SLOT: `${secondsPerSlot}` });
    case "node/version":
      return found({ version: `montana/${VERSION}` });
  }
  return undefined;
}

async function blobs(parts: BeaconApiParts, url: URL, slot: string): Promise<ApiResponse> {
  const given = listIn(url, "versioned_hashes");
  if (given.length > MAX_ITEMS) {
    return refused(400, `Cannot look for ${given.length} blobs at once: need ${MAX_ITEMS} at most`);
  }
  if (given.length > 0) {
    const hashes = given.map((hash) => fromHex(hash, "versioned_hashes", 32));
    const kept = (await blobsOf(parts, hashes)).filter((blob) => blob !== undefined);
    if (kept.length > 0) return found(kept.map((blob) => toHex(blob)));
    return refused(404, `Cannot find any of ${hashes.length} blobs: they are not kept here`);
  }
  const whole = await blockIn(parts, slot);
  if ("status" in whole) return whole;
  return found(whole.blobs.map((blob) => toHex(blob)));
}

async function sidecars(parts: BeaconApiParts, url: URL, slot: string): Promise<ApiResponse> {
  const indices = listIn(url, "indices");
  const wrong = indices.find((each) => !/^\d{1,3}$/.test(each));
  if (wrong !== undefined) {
    return refused(400, `Cannot read index "${wrong.slice(0, 20)}": need a number`);
  }
  const wanted = new Set(indices.map(Number));
  const whole = await blockIn(parts, slot, wanted);
  if ("status" in whole) return whole;
  const { kzg } = parts;
  const data = await Promise.all(whole.indices.map(async (index, place) => {
    const blob = whole.blobs[place]!;
    const commitment = await kzg.commitment(blob);
    return {
      index: `${index}`,
      blob: toHex(blob),
      kzg_commitment: toHex(commitment),
      kzg_proof: toHex(await kzg.blobProof(blob, commitment)),
    };
  }));
  return found(data);
}

interface Block {
  /** Of the blobs in the block. */
  readonly indices: readonly number[];
  readonly blobs: readonly Uint8Array[];
}

/** Blobs of the block in a slot: all, or those with the indices that are wanted. */
async function blockIn(
  parts: BeaconApiParts,
  slot: string,
  wanted: ReadonlySet<number> = new Set(),
): Promise<Block | ApiResponse> {
  if (!/^\d{1,15}$/.test(slot)) {
    const message = `Cannot look for block "${
      slot.slice(0, 80)
    }": need a slot, or versioned_hashes`;
    return refused(/^(\w+)$/.test(slot) ? 404 : 400, message);
  }
  const { archive, genesisTime = 0n, secondsPerSlot = 1n } = parts;
  const block = await archive.blockAt(genesisTime + BigInt(slot) * secondsPerSlot);
  if (!block) {
    return refused(
      404,
      `Cannot find slot ${slot}: no block was noted there; give versioned_hashes`,
    );
  }
  const indices = block.blobs.map((_, index) => index)
    .filter((index) => wanted.size === 0 || wanted.has(index));
  const blobs = await blobsOf(parts, indices.map((index) => block.blobs[index]!));
  const missing = blobs.filter((blob) => blob === undefined).length;
  if (missing === 0) return { indices, blobs: blobs as Uint8Array[] };
  const message =
    `Cannot give the blobs of slot ${slot}: ${missing} of ${blobs.length} are not kept ` +
    "here; give versioned_hashes for the others";
  return refused(404, message);
}

async function blobsOf(
  { archive }: BeaconApiParts,
  hashes: readonly Uint8Array[],
): Promise<readonly (Uint8Array | undefined)[]> {
  const { blobs } = await archive.find(undefined, hashes);
  return hashes.map((hash) => blobs.get(toHex(hash)));
}

/** Repeated, or with commas between: clients do either. */
function listIn(url: URL, name: string): string[] {
  const values = url.searchParams.getAll(name).flatMap((value) => value.split(","));
  return [...new Set(values)].filter((value) => value !== "");
}

function found(data: unknown): ApiResponse {
  return { status: 200, body: { execution_optimistic: false, finalized: false, data } };
}

function notFound(path: string): ApiResponse {
  return refused(
    404,
    `Cannot find ${path.slice(0, 200)}: there are /eth/v1/beacon/blobs/{slot} and ` +
      "/eth/v1/beacon/blob_sidecars/{slot}",
  );
}

/** As beacon nodes put it. */
function refused(status: number, message: string): ApiResponse {
  return { status, body: { code: status, message } };
}

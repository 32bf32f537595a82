/**
 * Opens the L1 that the flags name.
 *
 * @module
 */
import type { Log } from "../ports.ts";
import { openDirectoryL1 } from "./directory_l1.ts";
import { openEthereumL1 } from "./ethereum_l1.ts";
import type { RoleL1 } from "./l1.ts";
import type { L1Place } from "./l1_flags.ts";

/**
 * Opens an L1 to read.
 *
 * @param wait until aborted, a directory that is not there yet is waited for
 * @returns undefined where waiting was aborted
 */
export async function openL1(
  place: L1Place,
  log: Log,
  wait?: AbortSignal,
): Promise<RoleL1 | undefined> {
  if (place.kind === "directory") return await openDirectoryL1(place.path, wait);
  return await openEthereumL1(place, log);
}

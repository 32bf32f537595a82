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
import type { Patience } from "./patient_rpc.ts";

/**
 * Opens an L1 to read.
 *
 * @param patience how long it is waited for; a directory that is not there yet only where it does not end
 * @returns undefined where waiting was aborted
 */
export async function openL1(
  place: L1Place,
  log: Log,
  patience?: Patience,
): Promise<RoleL1 | undefined> {
  if (place.kind === "directory") {
    return await openDirectoryL1(place.path, patience?.once ? undefined : patience?.signal);
  }
  return await openEthereumL1(place, log, patience);
}

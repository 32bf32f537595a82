/**
 * What a service runs.
 *
 * @module
 */

/** Roles that a unit is made for, and what each does. */
export const UNIT_ROLES: Readonly<Record<string, string>> = {
  batcher: "posts L2 blocks as batches to L1",
  deriver: "reads batches from L1 and gives the L2 blocks back",
  processor: "takes operations and hands them over in batches",
  superblock: "cuts batches by the clock of Ethereum and has them proved",
  run: "several roles in one process",
};

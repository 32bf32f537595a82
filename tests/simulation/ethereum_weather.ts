/**
 * What goes on around a batcher on the simulated Ethereum, until all is calm.
 *
 * @module
 */
import type { SimulatedEthereum } from "./ethereum.ts";
import type { NetworkTransaction } from "./ethereum_transactions.ts";
import type { Run } from "./run.ts";

export const GWEI = 1_000_000_000n;
export const ETHER = 10n ** 18n;
export const SLOT_MS = 12_000;

/** Where it goes on. */
export interface Weather {
  readonly ethereum: SimulatedEthereum;
  /** Of the batcher. */
  readonly address: Uint8Array;
  /** Blocks that a reorganisation takes at the most. */
  readonly mostDepth: number;
  /** All that was ever sent. */
  readonly sent: () => readonly NetworkTransaction[];
  /** Nobody remembers what is in no block. */
  readonly isForgotten: () => boolean;
}

/** An account that runs dry gets more now and then. */
export async function keepFunding(run: Run, { ethereum, address }: Weather): Promise<void> {
  for (;;) {
    await run.clock.sleep(run.around(10, 60) * SLOT_MS);
    if (run.isCalm) return;
    ethereum.fund(address, ETHER / 100n);
    run.note("somebody", "funds the account");
  }
}

/** The newest blocks are replaced by others, as deep as that can go. */
export async function keepReorganising(
  run: Run,
  { ethereum, mostDepth, isForgotten }: Weather,
): Promise<void> {
  const everyMs = run.around(3, 100) * SLOT_MS;
  const returned = run.pick([0, 0.5, 1]);
  for (;;) {
    await run.clock.sleep(run.around(SLOT_MS / 4, everyMs));
    if (run.isCalm) return;
    const depth = run.around(1, mostDepth);
    const head = ethereum.head.header.number;
    const removed = ethereum.reorganise(depth, {
      returned: isForgotten() ? 0 : returned,
      longer: run.below(2),
    });
    run.note("L1", "is reorganised", ` from ${head} by ${removed.length}`);
  }
}

/** Up to fifty times as much, and back. */
export async function keepChangingFees(run: Run, { ethereum }: Weather): Promise<void> {
  const most = run.pick([1, 3, 50]);
  for (;;) {
    await run.clock.sleep(run.around(SLOT_MS, 60 * SLOT_MS));
    if (run.isCalm) return;
    const fee = () => GWEI * BigInt(run.around(1, 10 * most)) / 10n;
    const [baseFee, blobBaseFee] = [fee(), fee()];
    ethereum.setFees({ baseFee, blobBaseFee });
    run.note("L1", "changes its fees", ` to ${baseFee} and ${blobBaseFee} wei`);
  }
}

/** Somebody on the network remembers what was sent once, and sends it again. */
export async function keepRepeating(
  run: Run,
  { ethereum, address, sent, isForgotten }: Weather,
): Promise<void> {
  for (;;) {
    await run.clock.sleep(run.around(1000, 10 * SLOT_MS));
    if (run.isCalm || isForgotten()) return;
    const all = sent().filter((tx) => tx.sidecar || tx.blobHashes.length === 0);
    if (all.length === 0) continue;
    const tx = run.pick(all);
    try {
      ethereum.pool.add(tx, ethereum.account(address));
      run.note("somebody", "repeats a transaction", ` of nonce ${tx.nonce}`);
    } catch {
      // The pool has no room for it now.
    }
  }
}

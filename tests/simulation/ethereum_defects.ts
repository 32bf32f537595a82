/**
 * Defects to be found on Ethereum: each is put around a port.
 *
 * @module
 */
import { SourceError } from "../../src/errors.ts";
import type { Chain, TxAttempt, TxJournal } from "../../src/ethereum.ts";
import type { L1BatchSource } from "../../src/ports.ts";
import { withMembers } from "../helpers.ts";

/** A journal that writes an attempt down with the next. */
export function withAttemptTooLate(journal: TxJournal): TxJournal {
  let held: TxAttempt | undefined;
  return withMembers(journal, {
    async signed(attempt) {
      if (held) await journal.signed(held);
      held = attempt;
    },
    async forget(nonce, landed) {
      if (held) await journal.signed(held);
      held = undefined;
      await journal.forget(nonce, landed);
    },
  });
}

/** A journal that says nothing of what an earlier run sent. */
export function withoutAttempts(journal: TxJournal): TxJournal {
  return withMembers(journal, { attempts: [] });
}

/** A chain whose next nonce lies behind what waits in the pool. */
export function withPendingNonce(chain: Chain): Chain {
  return withMembers(chain, { nonce: (address) => chain.nonce(address, "pending") });
}

/** A chain on which everything is final at once. */
export function withLatestAsFinal(chain: Chain): Chain {
  return withMembers(chain, {
    header: (tag) => chain.header(tag === "finalized" ? "latest" : tag),
  });
}

/** A source that goes on above a common ancestor, and says nothing. */
export function withoutReorganisations(source: L1BatchSource): L1BatchSource {
  return withMembers(source, {
    async nextBatch() {
      for (;;) {
        try {
          return await source.nextBatch();
        } catch (error) {
          if (!(error instanceof SourceError) || error.code !== "Reorganised") throw error;
        }
      }
    },
  });
}

/** A source that is not read again from where it is told, but from where it stands. */
export function withShortRewind(source: L1BatchSource): L1BatchSource {
  return withMembers(source, { rewind: () => {} });
}

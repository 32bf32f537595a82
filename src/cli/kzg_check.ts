/**
 * Whether KZG works here, with which engine, and how fast.
 *
 * @module
 */
import { findKzg, type KzgEngine, type KzgPreference } from "../l1/kzg.ts";
import { openKzg } from "../l1/kzg_pool.ts";
import { testKzg } from "../l1/kzg_self_test.ts";
import { systemClock } from "../runtime.ts";
import type { Check, Finding } from "./checks.ts";
import { KZG_FLAG, kzgPreference } from "./sending_flags.ts";

const NAMES: Readonly<Record<KzgEngine, string>> = {
  native: "native (node-eth-kzg)",
  "c-kzg": "c-kzg",
  portable: "portable (micro-eth-signer)",
};

/** The engine, and one blob with it in a thread of its own, as a batcher does it. */
export const kzgCheck: Check = {
  name: "kzg",
  fix: "take another engine with --kzg; where none works, install montana again",
  flags: [KZG_FLAG],
  async run(flags) {
    const preference = kzgPreference(flags);
    const engine = await findKzg(preference);
    const kzg = await openKzg(engine);
    try {
      const { firstMs, commitmentMs, cellProofsMs } = await testKzg(kzg, systemClock);
      return [found(engine, preference), {
        check: "kzg self-test",
        status: "ok",
        found: `a known blob has the known commitment and cell proofs: ` +
          `commitment ${commitmentMs} ms, cell proofs ${cellProofsMs} ms, first answer ${firstMs} ms`,
        details: { engine, firstMs, commitmentMs, cellProofsMs },
      }];
    } finally {
      await kzg.close();
    }
  },
};

function found(engine: KzgEngine, preference: KzgPreference): Finding {
  const details = { engine };
  const line = { check: "kzg engine", found: NAMES[engine], details };
  if (engine !== "portable" || preference === "portable") return { ...line, status: "ok" };
  return {
    ...line,
    status: "warn",
    found: `${NAMES[engine]}: a blob takes six times as long as with a native engine`,
    fix: "on Linux x64 use the executable or `deno install`; elsewhere `npm install c-kzg` where " +
      "montana is installed; or leave it, where a batch of 6 blobs may take 15 seconds of a core",
  };
}

import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FeeCaps } from "../../src/ethereum.ts";
import {
  bumped,
  checkFeeLimits,
  FEE_DEFAULTS,
  firstOffer,
  leastOffer,
  marketCaps,
  meetsMarket,
  replacementOffer,
  withinCeiling,
} from "../../src/l1/fees.ts";
import { expectedCostWei, gasFor, type Market, worstCostWei } from "../../src/l1/gas.ts";

const GWEI = 1_000_000_000n;
const NAMES = ["maxFeePerGas", "maxPriorityFeePerGas", "maxFeePerBlobGas"] as const;
const price = fc.oneof(fc.bigInt(0n, 10n), fc.bigInt(0n, 5000n * GWEI));
const market = fc.record({ baseFee: price, tip: price, blobBaseFee: price });
const limits = fc.record({
  feeLimitMultiplier: fc.integer({ min: 2, max: 10 }),
  maxFeePerGas: fc.bigInt(1n, 5000n * GWEI),
  maxFeePerBlobGas: fc.bigInt(1n, 5000n * GWEI),
});

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function caps(
  maxFeePerGas: bigint,
  maxPriorityFeePerGas: bigint,
  maxFeePerBlobGas: bigint,
): FeeCaps {
  return { maxFeePerGas, maxPriorityFeePerGas, maxFeePerBlobGas };
}

function at(baseFee: bigint, tip: bigint, blobBaseFee: bigint): Market {
  return { baseFee: baseFee * GWEI, tip: tip * GWEI, blobBaseFee: blobBaseFee * GWEI };
}

test("firstOffer() is the tip, twice the base fee above it, and twice the blob base fee or a gwei", () => {
  deepEqual(firstOffer(at(10n, 2n, 3n), true, FEE_DEFAULTS), {
    caps: caps(22n * GWEI, 2n * GWEI, 6n * GWEI),
  });
  deepEqual(firstOffer(at(10n, 2n, 0n), true, FEE_DEFAULTS), {
    caps: caps(22n * GWEI, 2n * GWEI, GWEI),
  });
  deepEqual(firstOffer(at(10n, 2n, 3n), false, FEE_DEFAULTS), {
    caps: caps(22n * GWEI, 2n * GWEI, 0n),
  });
});

test("firstOffer() waits where the market is above a ceiling, and offers the ceiling below it", () => {
  const ceilings = { ...FEE_DEFAULTS, maxFeePerGas: 15n * GWEI, maxFeePerBlobGas: 4n * GWEI };
  deepEqual(firstOffer(at(10n, 2n, 3n), true, ceilings), {
    caps: caps(15n * GWEI, 2n * GWEI, 4n * GWEI),
  });
  deepEqual(firstOffer(at(10n, 2n, 5n), true, ceilings), {
    wait: "blob fee",
    current: 5n * GWEI,
    max: 4n * GWEI,
  });
  deepEqual(firstOffer(at(15n, 2n, 5n), true, ceilings), {
    wait: "base fee",
    current: 15n * GWEI + GWEI / 10n,
    max: 15n * GWEI,
  });
  deepEqual(firstOffer(at(10n, 2n, 500n), false, ceilings), {
    caps: caps(15n * GWEI, 2n * GWEI, 0n),
  });
});

test("an absurd tip of others is not waited out: what is left below the ceiling is offered", () => {
  const ceilings = { ...FEE_DEFAULTS, maxFeePerGas: 15n * GWEI };
  deepEqual(firstOffer(at(10n, 500n, 3n), true, ceilings), {
    caps: caps(15n * GWEI, 5n * GWEI, 30n * GWEI),
  });
  const before = caps(4n * GWEI, 2n * GWEI, 6n * GWEI);
  deepEqual(replacementOffer(before, at(10n, 500n, 3n), true, ceilings), {
    caps: caps(15n * GWEI, 5n * GWEI, 30n * GWEI),
  });
  // What stands at the ceiling can land while the base fee is below it: there is nothing to tell.
  const highest = caps(15n * GWEI, 5n * GWEI, 30n * GWEI);
  equal(replacementOffer(highest, at(12n, 500n, 3n), true, ceilings), undefined);
  deepEqual(replacementOffer(highest, at(16n, 500n, 3n), true, ceilings), {
    wait: "base fee",
    current: 16n * GWEI + GWEI / 10n,
    max: 15n * GWEI,
  });
});

test("whatever tip others pay, an offer stands where the base fee leaves room for a modest one", () => {
  fc.assert(fc.property(market, limits, fc.boolean(), (now, limit, hasBlobs) => {
    const modest = smaller(now.tip, GWEI / 10n);
    const isBelow = now.baseFee + modest <= limit.maxFeePerGas &&
      (!hasBlobs || now.blobBaseFee <= limit.maxFeePerBlobGas);
    const offer = firstOffer(now, hasBlobs, limit);
    equal("caps" in offer, isBelow);
    if (!("caps" in offer)) return;
    ok(offer.caps.maxFeePerGas >= now.baseFee + modest);
    ok(offer.caps.maxPriorityFeePerGas >= modest);
    ok(now.baseFee + offer.caps.maxPriorityFeePerGas <= limit.maxFeePerGas);
  }));
});

test("replacementOffer() doubles all three caps with blobs, adds a tenth without, and meets the market", () => {
  const before = caps(20n * GWEI, GWEI, 2n * GWEI);
  deepEqual(replacementOffer(before, at(9n, 1n, 1n), true, FEE_DEFAULTS), {
    caps: caps(40n * GWEI, 2n * GWEI, 4n * GWEI),
  });
  deepEqual(replacementOffer(before, at(9n, 1n, 1n), false, FEE_DEFAULTS), {
    caps: caps(22n * GWEI, 1_100_000_000n, 0n),
  });
  deepEqual(replacementOffer(before, at(100n, 3n, 50n), true, FEE_DEFAULTS), {
    caps: caps(203n * GWEI, 3n * GWEI, 100n * GWEI),
  });
});

test("replacementOffer() does not double above five times the market, unless nothing else would land", () => {
  const high = caps(100n * GWEI, GWEI, 20n * GWEI);
  equal(replacementOffer(high, at(9n, 1n, 1n), true, FEE_DEFAULTS), undefined);
  // The cap for gas is too low now, and pools take no replacement that raises it alone.
  deepEqual(replacementOffer(high, at(150n, 1n, 1n), true, FEE_DEFAULTS), {
    caps: caps(301n * GWEI, 2n * GWEI, 40n * GWEI),
  });
});

test("replacementOffer() does not double blindly where the ceiling is below the market or the next step", () => {
  const ceilings = { ...FEE_DEFAULTS, maxFeePerBlobGas: 10n * GWEI };
  const before = caps(20n * GWEI, GWEI, 8n * GWEI);
  const wait = { wait: "blob fee", max: 10n * GWEI };
  deepEqual(replacementOffer(before, at(9n, 1n, 11n), true, ceilings), {
    ...wait,
    current: 11n * GWEI,
  });
  deepEqual(replacementOffer(before, at(9n, 1n, 9n), true, ceilings), {
    ...wait,
    current: 9n * GWEI,
  });
  equal(replacementOffer(before, at(9n, 1n, 7n), true, ceilings), undefined);
});

test("offers never go above a ceiling, tips never above caps, and replacements are taken by pools", () => {
  fc.assert(fc.property(market, market, limits, fc.boolean(), (first, second, limit, hasBlobs) => {
    let offer = firstOffer(first, hasBlobs, limit);
    for (let step = 0; step < 6 && "caps" in offer; step++) {
      const { caps } = offer;
      ok(caps.maxFeePerGas <= limit.maxFeePerGas);
      ok(caps.maxFeePerBlobGas <= limit.maxFeePerBlobGas);
      ok(caps.maxPriorityFeePerGas <= caps.maxFeePerGas);
      equal(caps.maxFeePerBlobGas > 0n, hasBlobs);
      const next = replacementOffer(caps, second, hasBlobs, limit);
      const reachable = withinCeiling(second, limit);
      if (next === undefined) {
        ok(meetsMarket(caps, reachable, hasBlobs));
        return;
      }
      if ("caps" in next) {
        const least = bumped(caps, hasBlobs);
        for (const name of NAMES) ok(next.caps[name] >= least[name], name);
        ok(meetsMarket(next.caps, reachable, hasBlobs));
        const asked = marketCaps(reachable, hasBlobs);
        const highest = BigInt(limit.feeLimitMultiplier);
        if (meetsMarket(caps, reachable, hasBlobs)) {
          for (const name of NAMES) ok(next.caps[name] <= highest * asked[name], name);
        }
      } else {
        ok(next.current > 0n || next.max > 0n);
      }
      offer = next;
    }
  }));
});

test("what was offered can land at every market below the ceilings, up to the limit of its last offer", () => {
  const markets = fc.array(market, { minLength: 2, maxLength: 6 });
  fc.assert(
    fc.property(markets, limits, fc.boolean(), ([first, ...rest], limit, hasBlobs) => {
      const begin = firstOffer(first!, hasBlobs, limit);
      if (!("caps" in begin)) return;
      let { caps } = begin;
      let offeredAt = first!;
      for (const now of rest) {
        const next = replacementOffer(caps, now, hasBlobs, limit);
        if (next && "caps" in next) {
          caps = next.caps;
          offeredAt = now;
        }
        const asked = marketCaps(offeredAt, hasBlobs);
        const times = BigInt(limit.feeLimitMultiplier);
        const isBelow =
          now.baseFee + now.tip <= smaller(limit.maxFeePerGas, times * asked.maxFeePerGas) &&
          (!hasBlobs ||
            now.blobBaseFee <= smaller(limit.maxFeePerBlobGas, times * asked.maxFeePerBlobGas));
        if (isBelow) ok(meetsMarket(caps, now, hasBlobs));
      }
    }),
    { numRuns: 1000 },
  );
  // Above half of its ceiling, blob gas can be raised no more; base fees rise tenfold.
  const ceilings = { ...FEE_DEFAULTS, maxFeePerBlobGas: 20n * GWEI };
  const offer = firstOffer({ ...at(0n, 0n, 15n), baseFee: GWEI / 10n }, true, ceilings);
  ok("caps" in offer && meetsMarket(offer.caps, at(1n, 0n, 15n), true));
});

test("a ceiling near the market raises no other cap above five times the market", () => {
  const market = at(1n, 1n, 0n);
  const nearGas = { ...FEE_DEFAULTS, maxFeePerGas: 3n * GWEI };
  deepEqual(firstOffer(market, true, nearGas), { caps: caps(3n * GWEI, GWEI, 5n * GWEI) });
  const nearBlobs = { ...FEE_DEFAULTS, maxFeePerBlobGas: (3n * GWEI) / 2n };
  deepEqual(firstOffer(market, true, nearBlobs), {
    caps: caps(15n * GWEI, GWEI, (3n * GWEI) / 2n),
  });
});

test("leastOffer() is the least step, or nothing above a ceiling", () => {
  const before = caps(20n, 0n, 1n);
  deepEqual(leastOffer(before, true, FEE_DEFAULTS), { caps: caps(40n, 1n, 2n) });
  equal(leastOffer(before, true, { ...FEE_DEFAULTS, maxFeePerBlobGas: 1n }), undefined);
  deepEqual(bumped(caps(1n, 0n, 0n), false), caps(2n, 1n, 0n));
});

test("checkFeeLimits() refuses limits under which nothing could be sent", () => {
  for (
    const limit of [{ feeLimitMultiplier: 1.9 }, { maxFeePerGas: 0n }, { maxFeePerBlobGas: 0n }]
  ) {
    throws(() => checkFeeLimits({ ...FEE_DEFAULTS, ...limit }), { code: "Invalid" });
  }
  checkFeeLimits(FEE_DEFAULTS);
});

test("gasFor() is the floor of EIP-7623: ten for a zero byte, forty for another", () => {
  equal(gasFor(new Uint8Array()), 21_000n);
  equal(gasFor(Uint8Array.of(0, 0, 1)), 21_060n);
});

test("costs count gas at its price, and each blob as 131072 gas of blobs", () => {
  equal(worstCostWei(21_000n, 2, caps(3n, 1n, 5n)), 63_000n + 2n * 131_072n * 5n);
  equal(
    expectedCostWei(21_000n, 2, { baseFee: 2n, tip: 1n, blobBaseFee: 5n }),
    63_000n + 2n * 131_072n * 5n,
  );
});

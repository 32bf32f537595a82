import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { content } from "../helpers.ts";
import { BLOCKS, derived, handOver, hashAt, place } from "./engine_place.ts";
import { statusOf } from "./toy_execution_client.ts";

test("EngineApiSink has each derived block built, once and in order, and makes it the head", async () => {
  await using here = await place();
  const { toy, sink } = here;
  await handOver(sink, BLOCKS);
  deepEqual(toy.content, content(BLOCKS));
  equal(toHex((await sink.parentHash())!), hashAt(toy, 8));
  // The head is told with the order to build on it: three calls a block, and one for the last.
  const turn = ["engine_forkchoiceUpdatedV3", "engine_getPayloadV4", "engine_newPayloadV4"];
  deepEqual(toy.methods, [
    "engine_exchangeCapabilities",
    ...BLOCKS.flatMap(() => turn),
    "engine_forkchoiceUpdatedV3",
  ]);
  const [, attributes] = toy.calls.find(({ method }) => method.startsWith("engine_forkchoice"))!
    .params as [unknown, Record<string, unknown>];
  deepEqual(attributes, {
    timestamp: "0x3e8",
    prevRandao: `0x${"00".repeat(32)}`,
    suggestedFeeRecipient: `0x${"00".repeat(20)}`,
    withdrawals: [],
    parentBeaconBlockRoot: `0x${"00".repeat(32)}`,
    transactions: BLOCKS[0]!.transactions.map((each) => toHex(each)),
    noTxPool: true,
    gasLimit: "0x1c9c380",
  });
});

test("EngineApiSink follows a chain through its forks by what the client answers", async () => {
  // Shanghai with the second block, Cancun with the fourth, Prague with the sixth.
  await using here = await place({ forks: [1002, 1006, 1010] });
  await handOver(here.sink, BLOCKS);
  deepEqual(here.toy.content, content(BLOCKS));
  const used = (method: string) => [
    ...new Set(here.toy.methods.filter((each) => each.startsWith(method))),
  ];
  deepEqual(
    used("engine_newPayload"),
    [1, 2, 3, 4].map((version) => `engine_newPayloadV${version}`),
  );
});

test("EngineApiSink asks only for what the client offers", async () => {
  const capabilities = ["engine_forkchoiceUpdatedV2", "engine_getPayloadV2", "engine_newPayloadV2"];
  await using here = await place({ forks: [0, 1e9, 1e9], capabilities });
  await handOver(here.sink, BLOCKS.slice(0, 2));
  deepEqual(here.toy.content, content(BLOCKS.slice(0, 2)));
  ok(here.toy.methods.every((method) => method.endsWith("V2") || method.includes("exchange")));

  for (const left of ["engine_forkchoiceUpdated", "engine_getPayload", "engine_newPayload"]) {
    const others = capabilities.filter((each) => !each.startsWith(left));
    await using none = await place({ capabilities: others });
    await rejects(none.sink.ingest(BLOCKS[0]!), {
      code: "Unsupported",
      message: new RegExp(`it offers no version of ${left}`),
    });
  }

  await using silent = await place({ capabilities: null });
  await handOver(silent.sink, BLOCKS.slice(0, 2));
  deepEqual(silent.toy.content, content(BLOCKS.slice(0, 2)));
});

test("EngineApiSink refuses a port without the Engine API, though all blocks are there", async () => {
  await using here = await place({ hasNoEngine: true });
  for (const { timestamp, transactions } of BLOCKS) {
    await here.toy.build(Number(timestamp), transactions.map((each) => toHex(each)));
  }
  await rejects(handOver(here.sink, BLOCKS), {
    code: "Unsupported",
    message: /it has no engine_ methods; is that the port of its Engine API/,
  });
});

test("EngineApiSink gives what does not travel as its option says, and else as the parent has it", async () => {
  const holocene = `0x00${"000000fa"}${"00000006"}`;
  const deposit = Uint8Array.of(0x7e, 1, 2, 3);
  const attributes = () => ({
    deposits: [deposit],
    gasLimit: 60_000_000n,
    prevRandao: new Uint8Array(32).fill(7),
    feeRecipient: new Uint8Array(20).fill(0x42),
  });
  await using here = await place({ extraData: holocene }, { attributes });
  await handOver(here.sink, BLOCKS.slice(0, 2));
  const [, first, second] = here.toy.chain;
  deepEqual(
    (first!.payload.transactions as string[])[0],
    toHex(deposit),
  );
  equal((second!.payload.transactions as string[]).length, 2);
  equal(first!.payload.gasLimit, "0x3938700");
  equal(second!.payload.extraData, holocene);
  equal(second!.payload.prevRandao, `0x${"07".repeat(32)}`);
  equal(second!.payload.feeRecipient, `0x${"42".repeat(20)}`);
});

for (
  const [what, tamper, why] of [
    ["drops", (list: readonly string[]) => list.slice(1), /transaction 1 is missing/],
    ["adds", (list: readonly string[]) => [...list, "0x02ff"], /transaction 2 is none of them/],
    ["swaps", (list: readonly string[]) => list.toReversed(), /transaction 0 is another one/],
  ] as const
) {
  test(`EngineApiSink refuses a block in which the client ${what} a transaction`, async () => {
    await using here = await place();
    const block = { ...BLOCKS[0]!, transactions: [1, 2].map((each) => Uint8Array.of(2, each)) };
    if (what === "drops") here.toy.tamper = (list) => list.slice(0, 1);
    else here.toy.tamper = tamper;
    await rejects(here.sink.ingest(block), { code: "InvalidBlock", message: why });
    deepEqual(here.toy.content, []);
    ok(!here.toy.methods.some((method) => method.startsWith("engine_newPayload")));
  });
}

test("EngineApiSink says what kind of client is needed where one ignores the transactions", async () => {
  await using here = await place({ isOp: false });
  await rejects(here.sink.ingest(BLOCKS[0]!), {
    code: "Unsupported",
    message: /it holds 0 transactions, 1 were derived: .*does not take `transactions`.*op-geth/,
  });
});

for (const status of ["INVALID", "INVALID_BLOCK_HASH"]) {
  test(`EngineApiSink refuses by name what the client takes for ${status}`, async () => {
    await using here = await place();
    await handOver(here.sink, BLOCKS.slice(0, 1));
    here.toy.answer("engine_newPayload", { result: statusOf(status, "gas used is wrong") });
    await rejects(here.sink.ingest(BLOCKS[1]!), {
      code: "InvalidBlock",
      kind: "critical",
      message: new RegExp(
        `Cannot hand block 2 to .*${status} to engine_newPayload: gas used is wrong`,
      ),
    });
    here.toy.answer("engine_forkchoiceUpdated", {
      result: { payloadStatus: statusOf(status), payloadId: null },
    });
    await rejects(here.sink.ingest(BLOCKS[1]!), { code: "InvalidBlock" });
    // Nothing was taken: the same block may come again.
    await handOver(here.sink, BLOCKS.slice(1));
    deepEqual(here.toy.content, content(BLOCKS));
  });
}

test("EngineApiSink waits while the client is SYNCING, and goes on by itself", async () => {
  await using here = await place();
  const syncing = { result: { payloadStatus: statusOf("SYNCING"), payloadId: null } };
  here.toy.answer("engine_forkchoiceUpdated", syncing);
  here.toy.answer("engine_newPayload", { result: statusOf("SYNCING") });
  await handOver(here.sink, BLOCKS);
  deepEqual(here.toy.content, content(BLOCKS));
  deepEqual(
    here.events.of("engine.waits").map(({ method, status }) => `${method} ${status}`),
    ["engine_forkchoiceUpdated SYNCING", "engine_newPayload SYNCING"],
  );
});

test("EngineApiSink tells who hands blocks over when the client stays SYNCING, and loses nothing", async () => {
  await using here = await place({}, { patienceMs: 300 });
  await handOver(here.sink, BLOCKS.slice(0, 3));
  const syncing = { result: { payloadStatus: statusOf("SYNCING"), payloadId: null } };
  here.toy.answer("engine_forkchoiceUpdated", ...Array.from({ length: 3 }, () => syncing));
  await rejects(here.sink.ingest(BLOCKS[3]!), { code: "Syncing", kind: "temporary" });
  await handOver(here.sink, BLOCKS.slice(3));
  deepEqual(here.toy.content, content(BLOCKS));
});

test("EngineApiSink goes on where a block is ACCEPTED, and hands it over again where it is no head", async () => {
  await using here = await place({}, { patienceMs: 100 });
  await handOver(here.sink, BLOCKS.slice(0, 2));
  // Accepted and not kept: the client then has no such head.
  here.toy.answer("engine_newPayload", { result: statusOf("ACCEPTED") });
  await here.sink.ingest(BLOCKS[2]!);
  await here.sink.flush();
  deepEqual(here.toy.content, content(BLOCKS.slice(0, 3)));
  deepEqual(here.events.of("engine.lost").map(({ head, blocks }) => [head, blocks]), [[2n, 1]]);
});

test("EngineApiSink has a block built again whose payload the client forgot", async () => {
  await using here = await place();
  const unknown = { error: { code: -38001, message: "Unknown payload" } };
  here.toy.answer("engine_getPayload", unknown, unknown);
  await handOver(here.sink, BLOCKS);
  deepEqual(here.toy.content, content(BLOCKS));

  here.toy.answer("engine_getPayload", unknown, unknown, unknown);
  const next = { ...BLOCKS[7]!, timestamp: 2000n };
  await rejects(here.sink.ingest(next), { code: "Connection", kind: "temporary" });
  await handOver(here.sink, [next]);
  deepEqual(here.toy.content, content([...BLOCKS, next]));
});

test("EngineApiSink hands a block over once, whatever call of it hangs, breaks or fails", async () => {
  const methods = ["engine_forkchoiceUpdated", "engine_getPayload", "engine_newPayload"];
  const faults = [
    "hang",
    { after: "close" },
    { http: 503, body: "" },
    { http: 200, body: "<html>" },
    { error: { code: -32603, message: "internal error" } },
    { result: null },
    { result: { payloadStatus: { status: "FINE" } } },
  ] as const;
  await using here = await place({}, {}, 150);
  const blocks = derived(methods.length * faults.length + 1);
  await here.sink.ingest(blocks[0]!);
  let next = 1;
  for (const method of methods) {
    for (const fault of faults) {
      const block = blocks[next++]!;
      here.toy.answer(method, fault);
      const error = await here.sink.ingest(block).then(() => undefined, (error) => error);
      // A runtime asks again by itself where a connection breaks that was open.
      if (!error && typeof fault === "object" && "after" in fault) continue;
      equal(error?.kind, "temporary", `${method} ${JSON.stringify(fault)}`);
      await here.sink.ingest(block);
    }
  }
  await here.sink.flush();
  deepEqual(here.toy.content, content(blocks));
});

test("EngineApiSink says what a client answers that takes no such attributes", async () => {
  await using here = await place();
  const refused = { error: { code: -38003, message: "eip1559Params required" } };
  here.toy.answer("engine_forkchoiceUpdated", refused, refused, refused);
  await rejects(here.sink.ingest(BLOCKS[0]!), {
    code: "Unsupported",
    kind: "critical",
    message: /-38003 to engine_forkchoiceUpdatedV\d: eip1559Params required/,
  });
});

test("EngineApiSink names the block whose blob transaction is none", async () => {
  await using here = await place();
  const block = { ...BLOCKS[0]!, transactions: [Uint8Array.of(3, 1, 2)] };
  await rejects(here.sink.ingest(block), {
    code: "InvalidBlock",
    message: /Cannot hand block 1 to .*Cannot read a blob transaction of 3 bytes/,
  });
});

test("EngineApiSink hands on the hashes of blobs that transactions name", async () => {
  await using here = await place();
  // 0x03 ‖ rlp([1, 0, 0, 0, 0, 20 bytes, 0, "", [], 1, [hash], 0, 0, 0])
  const hash = `01${"ab".repeat(31)}`;
  const fields = `01808080809400${"00".repeat(19)}8080c001e1a0${hash}808080`;
  const transaction = fromHex(`0x03f8${(fields.length / 2).toString(16)}${fields}`, "transaction");
  await handOver(here.sink, [{ ...BLOCKS[0]!, transactions: [transaction] }]);
  const call = here.toy.calls.find(({ method }) => method === "engine_newPayloadV4")!;
  deepEqual(call.params[1], [`0x${hash}`]);
  deepEqual(call.params[3], []);
});

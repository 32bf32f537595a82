/**
 * {@link EngineApiSink} and the chain that its client has already, loses, or is to give up.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { content } from "../helpers.ts";
import { BLOCKS, derived, handOver, place } from "./engine_place.ts";

test("EngineApiSink passes over what the client has already", async () => {
  await using here = await place();
  await handOver(here.sink, BLOCKS.slice(0, 5));
  const told = () => here.toy.methods.filter((method) => !method.includes("exchange")).length;
  const before = told();
  const again = here.sinkWith();
  await handOver(again, BLOCKS.slice(0, 4));
  // A head that is above what was derived again stays.
  equal(told(), before);
  equal(here.toy.content.length, 5);
  await handOver(again, BLOCKS.slice(4));
  deepEqual(here.toy.content, content(BLOCKS));
  deepEqual(
    here.events.of("engine.payload").map(({ wasThere }) => wasThere),
    [...Array(5).fill(false), ...Array(5).fill(true), ...Array(3).fill(false)],
  );
});

test("EngineApiSink puts what was derived in place of other blocks that are not final", async () => {
  await using here = await place();
  await handOver(here.sink, BLOCKS.slice(0, 2));
  for (const timestamp of [1004, 1006, 1008]) await here.toy.build(timestamp, ["0x02aa"]);
  const again = here.sinkWith();
  await handOver(again, BLOCKS);
  deepEqual(here.toy.content, content(BLOCKS));
  const [event] = here.events.of("engine.reorganised");
  equal(event!.number, 3n);
  match(event!.why, /it holds 1 transactions, 1 were derived: transaction 0 is another one/);
});

test("EngineApiSink refuses to put anything in place of a final block", async () => {
  await using here = await place();
  await here.toy.build(1000, ["0x02aa"]);
  here.toy.finalise();
  await rejects(here.sink.ingest(BLOCKS[0]!), {
    code: "Changed",
    message: /Cannot put block 1 in place of the client's: .*has it as final.*another chain/,
  });
  await rejects(here.sinkWith().ingest({ ...BLOCKS[0]!, timestamp: 1n }), {
    code: "InvalidBlock",
    message: /its timestamp is 1, its parent's 900/,
  });
});

test("EngineApiSink goes on behind the block of an earlier run, and refuses where the client lost it", async () => {
  await using here = await place();
  await handOver(here.sink, BLOCKS.slice(0, 5));
  const from = here.sink.position!;
  equal(from.number, 5n);
  equal(from.l1Block, 102n);
  await handOver(here.sinkWith({ from }), BLOCKS.slice(5));
  deepEqual(here.toy.content, content(BLOCKS));

  here.toy.lose(4);
  await rejects(here.sinkWith({ from }).parentHash(), {
    code: "Changed",
    message: /Cannot go on behind block 5: it is not there, its head is 4/,
  });
  const other = { ...from, number: 3n };
  await rejects(here.sinkWith({ from: other }).parentHash(), {
    code: "Changed",
    message: /and was/,
  });
});

test("EngineApiSink hands over again what the client lost while it ran", async () => {
  await using here = await place({}, { patienceMs: 100 });
  await handOver(here.sink, BLOCKS.slice(0, 5));
  here.toy.lose(2);
  // The second of them fails at first: nothing is built on half of them.
  here.toy.answer("engine_newPayload", "real", { http: 503, body: "" });
  await rejects(here.sink.ingest(BLOCKS[5]!), { kind: "temporary" });
  await handOver(here.sink, BLOCKS.slice(5));
  deepEqual(here.toy.content, content(BLOCKS));
  here.toy.lose(8);
  await here.sink.noteL1Heads({ safe: 101n, finalized: 100n });
  deepEqual(here.toy.content, content(BLOCKS));
  here.toy.lose(3);
  await here.sink.retract(2);
  deepEqual(here.toy.content, content(BLOCKS.slice(0, 6)));
});

test("EngineApiSink says that the client lost more than it remembers", async () => {
  await using here = await place({}, { patienceMs: 100 });
  await handOver(here.sink, BLOCKS.slice(0, 5));
  const later = here.sinkWith({ from: here.sink.position! });
  await handOver(later, BLOCKS.slice(5, 6));
  here.toy.lose(2);
  await rejects(later.ingest(BLOCKS[6]!), {
    code: "Changed",
    message: /Cannot go on behind block 6 .*the client lost it, its head is 4; start again/,
  });
  await handOver(here.sinkWith(), BLOCKS);
  deepEqual(here.toy.content, content(BLOCKS));
});

test("EngineApiSink takes blocks back, and others in their place", async () => {
  await using here = await place();
  await handOver(here.sink, BLOCKS.slice(0, 6));
  await here.sink.retract(2);
  deepEqual(here.toy.content, content(BLOCKS.slice(0, 4)));
  const others = derived(8, { size: 30 }).slice(4);
  await handOver(here.sink, others);
  deepEqual(here.toy.content, content([...BLOCKS.slice(0, 4), ...others]));
  // Also of what was not flushed yet.
  await here.sink.retract(8);
  await here.sink.ingest(BLOCKS[0]!);
  await here.sink.ingest(BLOCKS[1]!);
  await here.sink.retract(1);
  await handOver(here.sink, BLOCKS.slice(1));
  deepEqual(here.toy.content, content(BLOCKS));
  await rejects(here.sink.retract(9), { code: "Changed", message: /the first is 1/ });
});

test("EngineApiSink takes blocks back once where the client could not be told at first", async () => {
  await using here = await place();
  await handOver(here.sink, BLOCKS.slice(0, 6));
  here.toy.answer("engine_forkchoiceUpdated", { http: 503, body: "" });
  await rejects(here.sink.retract(2), { kind: "temporary" });
  await here.sink.retract(2);
  deepEqual(here.toy.content, content(BLOCKS.slice(0, 4)));
  await handOver(here.sink, BLOCKS.slice(4));
  deepEqual(here.toy.content, content(BLOCKS));
});

test("EngineApiSink passes on what is safe and final, as L1 goes on", async () => {
  await using here = await place();
  await handOver(here.sink, BLOCKS);
  deepEqual(here.toy.numbers, { safe: -1, finalized: -1 });
  await here.sink.noteL1Heads({ safe: 99n, finalized: -1n });
  deepEqual(here.toy.numbers, { safe: -1, finalized: -1 });
  await here.sink.noteL1Heads({ safe: 101n, finalized: 100n });
  deepEqual(here.toy.numbers, { safe: 4, finalized: 2 });
  const calls = here.toy.calls.length;
  await here.sink.noteL1Heads({ safe: 101n, finalized: 100n });
  equal(here.toy.calls.length, calls, "what it knows it is not told again");
  // A later head never takes one back.
  await here.sink.noteL1Heads({ safe: 100n, finalized: 99n });
  deepEqual(here.toy.numbers, { safe: 4, finalized: 2 });

  // What was safe may still be taken back; what is final may not.
  await here.sink.retract(6);
  deepEqual(here.toy.numbers, { safe: 2, finalized: 2 });
  await rejects(here.sink.retract(1), { code: "Changed", message: /block 2 is final/ });
  await handOver(here.sink, BLOCKS.slice(2));
  await here.sink.noteL1Heads({ safe: 200n, finalized: 200n });
  deepEqual(here.toy.numbers, { safe: 8, finalized: 8 });
});

test("EngineApiSink tells safe and final heads of what an earlier run handed over", async () => {
  await using here = await place();
  await handOver(here.sink, BLOCKS);
  await here.sink.noteL1Heads({ safe: 100n, finalized: 100n });
  const again = here.sinkWith({ from: here.sink.position! });
  await again.noteL1Heads({ safe: 102n, finalized: 102n });
  deepEqual(here.toy.numbers, { safe: 2, finalized: 2 });
  await again.noteL1Heads({ safe: 103n, finalized: 102n });
  deepEqual(here.toy.numbers, { safe: 8, finalized: 2 });
});

import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { MemoryBlockSink } from "../../src/local/memory.ts";
import { DerivationPipeline } from "../../src/pipeline/deriver.ts";
import { encodeBlob } from "../../src/wire/blob.ts";
import { blobCalldata } from "../../src/wire/inbox.ts";
import { content, Events, makeBatch, noise, plainBlocks, stepAll } from "../helpers.ts";
import { FakeChain, openInbox, posted } from "./fake_chain.ts";

test("a deriver counts by reason what anyone may do to an inbox, and goes on", async () => {
  const chain = new FakeChain();
  const blocks = plainBlocks(8);
  const stranger = new Uint8Array(20).fill(9);
  const origin = { l1OriginCheck: chain.blocks[0]!.header.hash.slice(0, 20) };
  const batch = (batchNumber: bigint, first: number, header = {}) =>
    makeBatch(blocks.slice(first, first + 2), { batchNumber, ...origin, ...header });
  const [zero, one, two, three] = await Promise.all(
    [0, 1, 2, 3].map((number) => batch(BigInt(number), 2 * number)),
  );
  const brotli = new BrotliCompressor({ level: 4 });
  const large = [{ timestamp: 1004n, transactions: [new Uint8Array(50_000)] }];
  const bomb = await makeBatch(large, { batchNumber: 1n, ...origin }, brotli);
  const wrongBlob = encodeBlob(noise(10));
  wrongBlob[1] = 1;

  chain.mine(posted(zero!), { ...posted(one!), from: stranger }, {
    ...posted(one!),
    from: undefined,
  });
  chain.mine(
    { input: noise(5) },
    { input: new Uint8Array() },
    posted({ batchNumber: 1n, data: noise(40) }, "calldata"),
    { input: blobCalldata(1n), blobs: [wrongBlob] },
    posted({ ...two!, batchNumber: 1n }),
    posted(bomb),
  );
  chain.mine(posted(await batch(1n, 2, { l1Origin: 99n })), posted(zero!, "calldata"));
  chain.mine(posted(three!), posted(two!, "calldata"));
  chain.mine(posted(one!), posted(one!));

  const events = new Events();
  const sink = new MemoryBlockSink();
  const deriver = new DerivationPipeline({
    source: openInbox(chain, {}, events),
    compressors: [new BrotliCompressor({ maxDecompressedBytes: 10_000 }), new NoopCompressor()],
    sink,
    log: events.log,
  });
  deepEqual(await stepAll(deriver), [
    "accept 0",
    ...["undecodable", "undecodable", "number_mismatch", "undecodable", "origin_ahead"].map(
      (reason) => `drop 1 ${reason}`,
    ),
    "duplicate 0",
    ...["future 3", "future 2", "accept 1", "accept 2", "accept 3", "duplicate 1"],
  ]);
  deepEqual(content(sink.blocks), content(blocks));
  deepEqual(events.of("transaction.ignored").map(({ reason }) => reason), [
    ...["sender", "sender"],
    ...["calldata", "calldata"],
  ]);
});

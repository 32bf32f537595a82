import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { describeError } from "../../src/errors.ts";
import { blockHashing } from "../../src/l1/block_hashing.ts";
import { headerHash } from "../../src/l1/header_hash.ts";
import type { JsonFields } from "../../src/l1/json_fields.ts";
import { rawTransaction } from "../../src/l1/raw_transaction.ts";
import { EngineApiSource } from "../../src/l2/engine_source.ts";
import { type EngineServerOptions, serveEngine } from "../../src/l2/engine_server.ts";
import { JwtSecret } from "../../src/l2/jwt.ts";
import { newPayloadParams } from "../../src/l2/payload.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import { MemoryPayloadJournal } from "../../src/local/memory_payload_journal.ts";
import { systemClock } from "../../src/runtime.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { Events } from "../helpers.ts";
import { oneOfEachType } from "./anvil_l2.ts";
import { ConsensusClient, forkchoiceState } from "./consensus_client.ts";
import { BEFORE, payloadAfter, payloadChain } from "./payloads.ts";

const SECRET = new Uint8Array(32).fill(42);
const at = (offsetMs: number) => ({ ...systemClock, now: () => systemClock.now() + offsetMs });
const secret = (bytes = SECRET, offsetMs = 0) => JwtSecret.from(bytes.slice(), at(offsetMs));

interface Served {
  readonly client: ConsensusClient;
  readonly source: EngineApiSource;
  readonly events: Events;
  readonly url: string;
  readonly authorization: () => Promise<string>;
}

async function withServer(
  action: (served: Served) => Promise<void>,
  options: Partial<EngineServerOptions> = {},
): Promise<void> {
  const events = new Events();
  const { log } = events;
  const source = await EngineApiSource.open({
    journal: new MemoryPayloadJournal(),
    l1: new MemoryL1(),
    log,
  });
  const jwt = await secret();
  const server = await serveEngine({ source, jwt, log, port: 0, ...options });
  try {
    const authorization = () => jwt.authorization();
    const client = new ConsensusClient(server.name, authorization);
    await action({ client, source, events, url: server.name, authorization });
  } finally {
    await server.close();
    await source.close();
  }
}

/** Sends so many bytes without telling how many there will be. */
function statusOfChunked(url: string, authorization: string, bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization, "content-type": "application/json" };
    const sent = request(url, { method: "POST", headers }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    sent.on("error", reject);
    sent.write(new Uint8Array(bytes).fill(32));
  });
}

test("a consensus client is served: payloads of each version, choices, and blocks in hand", async () => {
  await withServer(async ({ client, source }) => {
    const capabilities = (await client.call("engine_exchangeCapabilities", [])).result;
    deepEqual(capabilities.slice(0, 4), [1, 2, 3, 4].map((v) => `engine_newPayloadV${v}`));
    ok(!capabilities.includes("engine_exchangeCapabilities"));
    const [first] = await payloadChain(1, BEFORE, 0, { version: 1 });
    const second = await payloadAfter(first!.payload, { version: 2 });
    const third = await payloadAfter(second.payload, { version: 3 });
    const fourth = await payloadAfter(third.payload, { version: 4 });
    const chain = [first!, second, third, fourth];
    for (const envelope of chain) equal(await client.give(envelope), "VALID");
    equal(await client.choose(second, {}, 1), "VALID");
    equal(await client.choose(third, { safe: second }, 2), "VALID");
    equal(await client.choose(fourth, { safe: third, finalized: second }), "VALID");
    equal((await source.pendingBlocks()).length, 4);

    equal((await client.call("eth_chainId")).result, "0x384");
    equal((await client.call("eth_syncing")).result, false);
    equal((await client.call("eth_blockNumber")).result, "0x67");
    for (
      const [tag, envelope] of [["latest", fourth], ["safe", third], ["finalized", second]] as const
    ) {
      const { result } = await client.call("eth_getBlockByNumber", tag, false);
      equal(result.hash, toHex(envelope.payload.blockHash));
      deepEqual(
        await client.call("eth_getBlockByHash", result.hash, false).then(({ result }) => result),
        result,
      );
    }
    const { result } = await client.call("eth_getBlockByNumber", "0x64", false);
    equal(result.number, "0x64");
    equal(result.transactions.length, 1);
    equal((await client.call("eth_getBlockByNumber", "0x63", false)).result, null);
    equal((await client.call("eth_getBlockByHash", toHex(BEFORE.blockHash), false)).result, null);
    match((await client.call("web3_clientVersion")).result, /^montana\/v/);
    equal((await client.call("engine_getClientVersionV1", {})).result[0].name, "Montana");
  }, { chainId: 900n });
});

test("a block in hand is told whole: its transactions and its hash are made of it again", async () => {
  await withServer(async ({ client }) => {
    const signed = await oneOfEachType(900, 0);
    const transactions = signed.map(({ raw }) => fromHex(raw, "raw"));
    const envelope = await payloadAfter(BEFORE, { transactions });
    equal(await client.give(envelope), "VALID");
    equal(await client.choose(envelope), "VALID");
    const { result } = await client.call("eth_getBlockByNumber", "latest", true);
    const hashing = await blockHashing();
    deepEqual(
      result.transactions.map((each: JsonFields) => toHex(rawTransaction(each, hashing)!)),
      signed.map(({ raw }) => raw),
    );
    equal(toHex(headerHash(result, hashing)), result.hash);
    deepEqual(result.transactions.map((each: JsonFields) => each.transactionIndex)[3], "0x3");
    const { result: plain } = await client.call("eth_getBlockByNumber", "latest", false);
    deepEqual(result.transactions.map(({ hash }: JsonFields) => hash), plain.transactions);
  });
});

test("who has no token, or a wrong or an old one, is not let in, and is told why", async () => {
  await withServer(async ({ client, url, events, source }) => {
    const [envelope] = await payloadChain(1);
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "engine_newPayloadV4",
      params: await newPayloadParams(envelope!),
    });
    for (
      const [authorization, code] of [
        ["", "Malformed"],
        ["Basic abc", "Malformed"],
        ["Bearer eyJhbGciOiJub25lIn0.eyJpYXQiOjB9.", "WrongAlgorithm"],
        [await (await secret(new Uint8Array(32))).authorization(), "WrongSignature"],
        [await (await secret(SECRET, -70_000)).authorization(), "TooOld"],
        [await (await secret(SECRET, 70_000)).authorization(), "TooNew"],
      ] as const
    ) {
      const { status, json } = await client.post(body, { authorization });
      equal(status, 401);
      deepEqual(json.error?.data, { token: code });
      equal((events.of("consensus.refused").at(-1)!.error as { code: string }).code, code);
    }
    const bare = await fetch(url, { method: "POST", body });
    deepEqual([bare.status, (await bare.json()).error.data], [401, { token: "Missing" }]);
    equal(source.heldPayloads, 0);
    for (const offsetMs of [-50_000, 50_000]) {
      const authorization = await (await secret(SECRET, offsetMs)).authorization();
      equal((await client.post(body, { authorization })).json.result.status, "VALID");
    }
  });
});

test("each status and each error of the specification is answered by its name or number", async () => {
  await withServer(async ({ client, events }) => {
    const chain = await payloadChain(3, BEFORE, 0, { version: 3 });
    const fork = await payloadChain(2, chain[0]!.payload, 1, { version: 3 });
    equal(await client.give(chain[0]!), "VALID");
    equal(await client.choose(chain[0]!), "VALID");
    equal(await client.give(chain[2]!), "SYNCING");
    equal(await client.choose(chain[2]!), "SYNCING");
    equal(await client.give(chain[1]!), "VALID");
    equal(await client.choose(chain[2]!), "VALID");
    equal(await client.give(fork[0]!), "ACCEPTED");
    equal(await client.give(fork[1]!, [new Uint8Array(32)]), "INVALID");

    const wrongHash = await payloadAfter(BEFORE, { version: 1, blockHash: new Uint8Array(32) });
    const params = await newPayloadParams(wrongHash);
    const v1 = (await client.call("engine_newPayloadV1", ...params)).result;
    deepEqual([v1.status, v1.latestValidHash], ["INVALID_BLOCK_HASH", null]);
    match(v1.validationError, /its parts make 0x/);
    equal((await client.call("engine_newPayloadV2", ...params)).result.status, "INVALID");
    const late = await payloadAfter(chain[2]!.payload, { version: 3, timestamp: 5n });
    const { result } = await client.call("engine_newPayloadV3", ...await newPayloadParams(late));
    deepEqual([result.status, result.latestValidHash], [
      "INVALID",
      toHex(chain[2]!.payload.blockHash),
    ]);

    equal(await client.choose(chain[2]!, { safe: fork[0]! }), "error -38002");
    const state = forkchoiceState(chain[2]!);
    const root = toHex(new Uint8Array(32));
    const after = `0x${(chain[2]!.payload.timestamp + 1n).toString(16)}`;
    const address = toHex(new Uint8Array(20));
    const attributes = { timestamp: after, prevRandao: root, suggestedFeeRecipient: address };
    const withdrawals = { ...attributes, withdrawals: [] };
    const whole = { ...withdrawals, parentBeaconBlockRoot: root };
    for (
      const [version, attributes, code] of [
        [1, withdrawals, -38003],
        [1, whole, -38003],
        [2, whole, -38003],
        [3, withdrawals, -38003],
        [3, { ...whole, timestamp: "0x1" }, -38003],
        [3, { ...whole, prevRandao: "0x" }, -38003],
        [3, "nonsense", -38003],
      ] as const
    ) {
      const { error } = await client.call(`engine_forkchoiceUpdatedV${version}`, state, attributes);
      equal(error?.code, code, `${version} ${JSON.stringify(attributes)}`);
    }
    equal((await client.call("engine_getPayloadV3", "0x01")).error?.code, -38001);
    equal(await client.give(await payloadAfter(chain[2]!.payload, { version: 2 })), "error -38005");
    const early = { version: 4, timestamp: chain[1]!.payload.timestamp } as const;
    equal(await client.give(await payloadAfter(chain[0]!.payload, early)), "error -38005");

    for (
      const [method, params] of [
        ["engine_newPayloadV4", await newPayloadParams(chain[0]!)],
        ["engine_newPayloadV3", await newPayloadParams(wrongHash)],
        ["engine_newPayloadV1", await newPayloadParams(chain[0]!)],
        ["engine_newPayloadV1", []],
        ["engine_forkchoiceUpdatedV1", []],
        ["engine_forkchoiceUpdatedV1", [{ headBlockHash: "0x12" }]],
        ["eth_getBlockByNumber", ["first", false]],
        // Its transactions are of no type that has fields.
        ["eth_getBlockByNumber", ["latest", true]],
        ["eth_getBlockByHash", ["0x12", false]],
      ] as const
    ) {
      equal((await client.call(method, ...params)).error?.code, -32602, method);
    }
    equal((await client.call("eth_chainId")).error?.code, -32000);
    match(describeError(events.of("consensus.refused").at(-1)!.error), /--l2-chain-id/);
    for (
      const method of ["eth_sendRawTransaction", "engine_newPayloadV9", "toString", "__proto__"]
    ) {
      equal((await client.call(method)).error?.code, -32601, method);
    }
  });
});

test("a consensus client that asks for a block gets none, and its user is warned", async () => {
  await withServer(async ({ client, events }) => {
    const [envelope] = await payloadChain(1);
    await client.give(envelope!);
    const root = toHex(new Uint8Array(32));
    const attributes = {
      ...{
        timestamp: "0x7fffffff",
        prevRandao: root,
        withdrawals: [],
        parentBeaconBlockRoot: root,
      },
      suggestedFeeRecipient: toHex(new Uint8Array(20)),
    };
    const { result } = await client.call(
      "engine_forkchoiceUpdatedV3",
      forkchoiceState(envelope!),
      attributes,
    );
    equal(result.payloadStatus.status, "VALID");
    equal(result.payloadId, null);
    deepEqual(events.of("consensus.asked_to_build"), [
      { event: "consensus.asked_to_build", headNumber: 100n },
    ]);
  });
});

test("bodies that are too large, broken or no requests are refused, and the next is served", async () => {
  await withServer(async ({ client, url, authorization }) => {
    const large = await client.post(`"${"x".repeat(5000)}"`);
    deepEqual([large.status, large.json.error?.code], [413, -32600]);
    equal(await statusOfChunked(url, await authorization(), 10_000), 413);
    for (
      const [body, code] of [
        ["", -32700],
        ["{", -32700],
        [Uint8Array.of(0xff, 0xfe), -32700],
        ["null", -32600],
        ["3", -32600],
        ["{}", -32600],
        ["[]", -32600],
        [JSON.stringify(Array(101).fill({})), -32600],
        ['{"id":1,"method":3}', -32600],
        ['{"id":1,"method":"eth_syncing","params":{}}', -32600],
        ['{"id":{},"method":"eth_syncing"}', -32600],
        ["[".repeat(3000), -32700],
        [`{"method":"${"[".repeat(3000)}\\"[","id":[]}`, -32600],
      ] as const
    ) {
      const { status, json } = await client.post(body as BodyInit);
      deepEqual([status, json.error?.code, json.id], [200, code, null], String(body));
    }
    const many = await client.post(JSON.stringify([
      { jsonrpc: "2.0", id: "a", method: "eth_syncing" },
      7,
      { jsonrpc: "2.0", id: 2, method: "nothing", params: [] },
    ]));
    deepEqual(
      (many.json as unknown as { id: unknown; error?: { code: number } }[])
        .map(({ id, error }) => [id, error?.code]),
      [["a", undefined], [null, -32600], [2, -32601]],
    );
    const got = await fetch(url);
    equal(got.status, 405);
    await got.body?.cancel();
  }, { maxRequestBytes: 4000 });
});

test("calls at the same time are all taken", async () => {
  await withServer(async ({ client, source }) => {
    const chain = await payloadChain(40);
    const answers = await Promise.all(chain.map((envelope) => client.give(envelope)));
    ok(answers.every((status) => status === "VALID" || status === "SYNCING"));
    equal(await client.choose(chain[39]!), "VALID");
    equal((await source.pendingBlocks()).length, 40);
  });
});

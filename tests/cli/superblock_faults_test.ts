/**
 * `montana superblock` among provers and a publisher over HTTP that fail in each of their ways, killed in
 * between: all is proved and accepted in the end, each once, in order, within the limits.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { withServer } from "../l1/rpc_server.ts";
import { OpSuccinctServer, PublisherServer, SuperblockProverServer } from "../provers/servers.ts";
import { skipUnlessShown } from "./half.ts";
import { LiveChains, shortClock } from "./live_chains.ts";
import { run as montana, start } from "./montana.ts";

type Answered = ReturnType<OpSuccinctServer["answer"]>;

const ASSIGNED = { fulfillment_status: 2, execution_status: 1, proof: [] };
const UNFULFILLABLE = { fulfillment_status: 4, execution_status: 2, proof: [] };
const UNEXECUTABLE = { fulfillment_status: 4, execution_status: 3, proof: [] };
const REFUSAL = {
  error: { code: "submit_failed", message: "closed for tonight", request_id: "1" },
};

interface AskedRange {
  readonly start: number;
  readonly end: number;
  /** Of the batches that were asked for, from 0. */
  readonly batch: number;
  /** Of the same range, from 1. */
  readonly attempt: number;
  polls: number;
  isAnswered: boolean;
}

/** Batches are of four blocks, block n in slot n. */
const batchNumberOf = (end: number) => Math.floor(end / 4);

/** op-succinct, with faults by batch and attempt. */
class Ranges {
  readonly server = new OpSuccinctServer();
  readonly asked: AskedRange[] = [];
  /** Batches of which ranges were under way at the same time, at the most. */
  mostAtOnce = 0;
  isCured = false;
  /** Until then the second try of batch 3 is under way: its id is in the log, as it was polled. */
  isKilled = false;
  #first: number | undefined;
  readonly #byId = new Map<string, AskedRange>();
  #isRefusing = true;

  constructor() {
    this.server.fault = (call) => {
      if (call.path === "/request_span_proof") {
        // The very first request comes at a bad time.
        if (this.#isRefusing) {
          this.#isRefusing = false;
          return { status: 503, text: "busy" };
        }
        return this.#request(call);
      }
      const range = this.#byId.get(/^\/status\/(.*)$/.exec(call.path)?.[1] ?? "");
      return range ? this.#status(range) : undefined;
    };
  }

  /** The block that cannot be executed until it is cured. */
  get poison(): number {
    return 4 * (this.#first! + 4) + 2;
  }

  /** Of the batch that comes so many after the first. */
  of(batch: number): AskedRange[] {
    return this.asked.filter((each) => each.batch === batch);
  }

  #request(call: Parameters<OpSuccinctServer["answer"]>[0]): Answered {
    const answer = this.server.answer(call);
    const { start, end } = call.body as { start: number; end: number };
    const number = batchNumberOf(end);
    this.#first ??= number;
    const attempt = this.asked.filter((each) => each.start === start && each.end === end).length +
      1;
    const batch = number - this.#first;
    const range = { start, end, batch, attempt, polls: 0, isAnswered: false };
    this.asked.push(range);
    const open = new Set(this.asked.filter((each) => !each.isAnswered).map((each) => each.batch));
    this.mostAtOnce = Math.max(this.mostAtOnce, open.size);
    const { proof_id } = answer.json as { proof_id: number[] };
    this.#byId.set(proof_id.map((byte) => byte.toString(16).padStart(2, "0")).join(""), range);
    return answer;
  }

  #status(range: AskedRange): Answered | "hang" | undefined {
    const { start, end, batch, attempt } = range;
    range.polls += 1;
    const isHeld = batch === 3 && attempt === 2 && !this.isKilled;
    if (range.polls === 1 || isHeld) return { status: 200, json: ASSIGNED };
    if (range.polls % 3 === 0) return { status: 502, text: "bad gateway" };
    const answer = (json: object): Answered => {
      range.isAnswered = true;
      return { status: 200, json };
    };
    if (batch === 1 && attempt === 1) {
      range.isAnswered = true;
      return "hang";
    }
    if (batch === 2 && attempt === 1) {
      range.isAnswered = true;
      return { status: 404, text: "" };
    }
    if (batch === 3 && end - start > 2) return answer(UNFULFILLABLE);
    if (!this.isCured && start < this.poison && end >= this.poison) return answer(UNEXECUTABLE);
    return answer({ fulfillment_status: 3, execution_status: 2, proof: [1, 2, 3] });
  }
}

const FAULTS =
  "montana superblock gets through each fault of provers and publisher, and a kill -9 among them";
test(FAULTS, { skip: skipUnlessShown("source", FAULTS) }, async () => {
  await using chains = new LiveChains();
  const ranges = new Ranges();
  const network = new SuperblockProverServer();
  const publisher = new PublisherServer();
  const servers = [ranges.server, network, publisher];
  network.fault = (_, at) => {
    if (at === 5) network.forget();
    if (at === 8) {
      const json = { success: true, status: "failed", result: null, error: "out of memory" };
      return { status: 200, json };
    }
    return at % 4 === 0 ? { status: 500, text: "" } : undefined;
  };
  const posts: number[] = [];
  let isRefusing = true;
  publisher.fault = (call, at) => {
    if (call.method !== "POST") return at % 3 === 0 ? { status: 503, text: "" } : undefined;
    const number = Number(call.body!["superblock_number"]);
    const index = number - batchNumberOf(ranges.asked[0]!.end);
    const tries = publisher.calls.filter(({ body }) =>
      body?.["superblock_number"] === number
    ).length;
    if (index === 1 && tries < 4) return { status: 503, text: "closed" };
    if (index === 5 && isRefusing) return { status: 400, json: REFUSAL };
    posts.push(number);
    // Taken, and not answered.
    return index === 2 ? (publisher.answer(call), "hang") : undefined;
  };
  await withDirectory((cwd) =>
    withServer(({ id, params: [number] }, response) => {
      const outputRoot = `0x${Number(number).toString(16).padStart(64, "0")}`;
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { outputRoot } }));
    }, async (rollupNode) => {
      try {
        const [l1, l2] = await chains.serve();
        const [prover = "", networkProver = "", collector = ""] = await Promise.all(
          servers.map((server) => server.listen()),
        );
        await writeFile(join(cwd, "vkey.json"), "{}");
        const args = [
          ...["superblock", ...shortClock(chains.genesis), "--data-dir", "d", "--l2", l2],
          ...["--l2-head", "unsafe", "--proof-poll", "20ms", "--set", `l1_listener.l1_rpc=${l1}`],
          ...["--set", "pipeline.retry_delay=100ms", "--set", "pipeline.job_timeout=4s"],
          ...["--set", "pipeline.max_retries=3", "--set", "pipeline.max_concurrent_jobs=2"],
          ...["--prover", prover, "--superblock-prover", networkProver, "--publisher", collector],
          ...["--rollup-node", rollupNode, "--rollup-config-hash", `0x${"01".repeat(32)}`],
          ...["--multi-block-vkey", `0x${"02".repeat(32)}`, "--aggregation-vkey", "vkey.json"],
          ...["--prover-address", "0xff00000000000000000000000000000000008453"],
        ];
        const said: string[] = [];
        {
          await using first = start(args, { cwd });
          const isUnderWay = () =>
            ranges.of(3).some(({ attempt, polls }) => attempt === 2 && polls > 0);
          await first.until("a range is tried again", isUnderWay);
          first.send("SIGKILL");
          ranges.isKilled = true;
          said.push((await first.ended).stderr);
        }
        await using second = start(args, { cwd });
        await second.untilSaid(/proof job 1001-\d+ failed/);
        const number = batchNumberOf(ranges.asked[0]!.end);
        const [poisoned, refused] = [number + 4, number + 5];
        const retry = async (batch: number) => {
          const job = `1001-${batch}`;
          const { code, stderr } = await montana(["proofs", "retry", job, "--data-dir", "d"], {
            cwd,
          });
          equal(code, 0, stderr);
        };
        // The split went on down to the block, which is named.
        const { poison } = ranges;
        await second.untilSaid(`proof job 1001-${poisoned} failed`);
        match(
          second.stderr,
          new RegExp(`Cannot prove job 1001-${poisoned} \\(range_proof, block ${poison}\\)`),
        );
        ranges.isCured = true;
        await retry(poisoned);
        await second.untilSaid(`proof job 1001-${refused} failed`);
        match(second.stderr, /400: submit_failed, closed for tonight/);
        isRefusing = false;
        await retry(refused);
        await second.untilSaid(`proof job 1001-${refused} is completed`);
        second.send("SIGTERM");
        const { code, stderr } = await second.ended;
        equal(code, 0, stderr);
        said.push(stderr);
        const all = said.join("");

        // Each once, in order.
        const inOrder = Array.from({ length: 6 }, (_, at) => number + at);
        deepEqual(posts.slice(0, 6), inOrder);
        deepEqual([...new Set(posts)], posts);
        // A 503 to the request, no answer in time, and an id that is unknown: asked again, and no more.
        deepEqual([0, 1, 2].map((batch) => ranges.of(batch).length), [1, 2, 2]);
        match(all, /it answered 503/);
        match(
          all,
          new RegExp(
            `1001-${number + 1} tries its range proof again, retry 1: .*more than 4000 ms`,
          ),
        );
        match(
          all,
          new RegExp(`1001-${number + 2} asks for its range proof again: the prover knows no`),
        );
        // Given up three times, then proved in halves; over the kill too.
        const whole = { start: 4 * (number + 3) - 1, end: 4 * (number + 3) + 3 };
        deepEqual(ranges.of(3).map(({ start, end, attempt }) => [start, end, attempt]), [
          [whole.start, whole.end, 1],
          [whole.start, whole.end, 2],
          [whole.start, whole.end, 3],
          [whole.start, whole.start + 2, 1],
          [whole.start + 2, whole.end, 1],
        ]);
        match(all, new RegExp(`1001-${number + 3} has blocks \\d+ to \\d+ proved in two halves`));
        // What cannot be executed is not tried again, until a person says so.
        const single = ranges.of(4).filter(({ start, end }) =>
          start === poison - 1 && end === poison
        );
        deepEqual(single.map(({ attempt }) => attempt), [1, 2]);
        match(all, /asks for its network aggregation again: the prover knows no/);
        match(all, /tries its network aggregation again, retry 1: .*out of memory/);
        ok(ranges.mostAtOnce <= 2, `${ranges.mostAtOnce} at once`);
      } finally {
        for (const server of servers) await server.close();
      }
    })
  );
});

/**
 * Servers that speak as op-succinct's prover, superblock-prover and the Shared Publisher do, with the faults
 * of each.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { noise } from "../helpers.ts";

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: Record<string, unknown> | undefined;
}

interface Answer {
  readonly status: number;
  readonly json?: unknown;
  readonly text?: string;
}

/** Breaks an answer; undefined: it is answered. `hang` for none at all. */
export type HttpFault = (call: Call, at: number) => Answer | "hang" | undefined;

/** What they have in common. */
abstract class FaultyServer {
  readonly calls: Call[] = [];
  fault: HttpFault = () => undefined;
  #server: Server | undefined;

  abstract answer(call: Call): Answer;

  async listen(): Promise<string> {
    this.#server = createServer(async (request, response) => {
      const parts: Uint8Array[] = [];
      for await (const part of request) parts.push(part);
      const text = Buffer.concat(parts).toString();
      const call = {
        method: request.method!,
        path: request.url!,
        body: text === "" ? undefined : JSON.parse(text),
      };
      this.calls.push(call);
      const fault = this.fault(call, this.calls.length);
      if (fault === "hang") return;
      const { status, json, text: raw } = fault ?? this.answer(call);
      response.writeHead(status, { "content-type": "application/json" });
      response.end(raw ?? JSON.stringify(json));
    });
    await new Promise<void>((done) => this.#server!.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server?.close(done));
    this.#server?.closeAllConnections();
    await closed;
  }
}

/** `proposer/succinct/bin/server.rs`: requested, then assigned, then fulfilled. */
export class OpSuccinctServer extends FaultyServer {
  /** Statuses that each id goes through; the last stays. */
  statuses: readonly object[] = [
    { fulfillment_status: 1, execution_status: 1, proof: [] },
    { fulfillment_status: 2, execution_status: 2, proof: [] },
    { fulfillment_status: 3, execution_status: 2, proof: [1, 2, 3] },
  ];
  #ids = 0;
  #polls = new Map<string, number>();

  forget(): void {
    this.#polls = new Map();
  }

  answer({ method, path }: Call): Answer {
    if (method === "POST" && ["/request_span_proof", "/request_agg_proof"].includes(path)) {
      const id = noise(32, ++this.#ids);
      this.#polls.set(Buffer.from(id).toString("hex"), 0);
      return { status: 200, json: { proof_id: [...id] } };
    }
    const id = /^\/status\/([\da-f]{64})$/.exec(path)?.[1];
    const polls = id === undefined ? undefined : this.#polls.get(id);
    if (id === undefined || polls === undefined) return { status: 404, text: "" };
    this.#polls.set(id, polls + 1);
    return { status: 200, json: this.statuses[Math.min(polls, this.statuses.length - 1)] };
  }
}

/** `script/src/bin/main.rs`: pending, then running, then completed. */
export class SuperblockProverServer extends FaultyServer {
  outcome: object = {
    status: "completed",
    result: { proof: [9, 8, 7], proving_time_ms: 5, cycles: 6 },
  };
  #ids = 0;
  #polls = new Map<string, number>();

  forget(): void {
    this.#polls = new Map();
  }

  answer({ method, path }: Call): Answer {
    if (method === "POST" && path === "/proof") {
      const request_id = `7b0c-${++this.#ids}`;
      this.#polls.set(request_id, 0);
      const message = "Proof request submitted successfully";
      return { status: 200, json: { success: true, message, request_id, error: null } };
    }
    const id = path.replace("/proof/", "");
    const polls = this.#polls.get(id);
    const none = { result: null, error: null };
    if (polls === undefined) {
      const error = "Request not found";
      return { status: 200, json: { success: false, status: "failed", ...none, error } };
    }
    this.#polls.set(id, polls + 1);
    const status = ["pending", "running"][polls];
    const json = status
      ? { success: true, status, ...none }
      : { success: true, ...none, ...this.outcome };
    return { status: 200, json };
  }
}

/** `x/superblock/proofs/http`: its refusals too. */
export class PublisherServer extends FaultyServer {
  readonly received = new Map<string, Record<string, string>>();

  answer({ method, path, body }: Call): Answer {
    if (method === "POST" && path === "/v1/proofs/op-succinct") return this.#submit(body!);
    const hash = /^\/v1\/proofs\/status\/(0x[\da-f]{64})$/.exec(path)?.[1];
    const received = this.received.get(hash ?? "");
    if (!received) return refusal(404, "not_found", "no such superblock");
    const json = {
      superblock_hash: hash,
      required_chain_ids: [1001],
      received,
      state: "collecting",
    };
    return { status: 200, json };
  }

  #submit(body: Record<string, unknown>): Answer {
    const outputs = body.aggregation_outputs as Record<string, unknown>;
    const hash = `${body.superblock_hash}`;
    const isHash = (value: unknown) => /^0x[\da-f]{64}$/.test(`${value}`);
    if (!isHash(hash) || /^0x0+$/.test(hash)) return refusal(400, "invalid_superblock_hash");
    if (!isHash(body.l1_head)) return refusal(400, "invalid_l1_head");
    const fields = ["l2PreRoot", "l2PostRoot", "rollupConfigHash", "multiBlockVKey"];
    const isWhole = fields.every((field) => isHash(outputs[field])) &&
      /^0x[\da-f]{40}$/.test(`${outputs.proverAddress}`);
    if (outputs.l1Head !== body.l1_head || !isWhole) {
      return refusal(400, "invalid_aggregation_outputs");
    }
    if (Number(body.l2_start_block) > Number(outputs.l2BlockNumber)) {
      return refusal(400, "invalid_l2_start_block");
    }
    if (body.agg_vk === undefined) return refusal(400, "missing_agg_vk");
    this.received.set(hash, {
      ...this.received.get(hash),
      [`${body.chain_id}`]: "2026-01-01T00:00:00Z",
    });
    return { status: 202, json: { status: "accepted" } };
  }
}

function refusal(status: number, code: string, message = code): Answer {
  return { status, json: { error: { code, message, request_id: "1", timestamp: "now" } } };
}

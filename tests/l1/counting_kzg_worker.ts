/**
 * A worker for {@link KzgPool} that tells how often it was asked, as the four first bytes of a point.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { POINT_SIZE } from "../../src/l1/kzg.ts";
import type { KzgRequest } from "../../src/l1/kzg_worker.ts";

let asked = 0;

function answer({ action }: KzgRequest): void {
  asked += 1;
  const points = new Uint8Array(POINT_SIZE);
  new DataView(points.buffer).setUint32(0, asked);
  if (action === "cellProofs") parentPort?.postMessage({ message: `question ${asked}` });
  else parentPort?.postMessage({ points: points.buffer }, [points.buffer]);
}

parentPort?.on("message", answer);
parentPort?.postMessage("ready");

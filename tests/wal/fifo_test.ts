import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Fifo } from "../../src/wal/fifo.ts";

test("Fifo gives what a list would, also after thousands", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3000, max: 3000 }), { maxLength: 20 }), (steps) => {
      const fifo = new Fifo<number>();
      const list: number[] = [];
      let next = 0;
      for (const step of steps) {
        for (let index = 0; index < step; index++) {
          fifo.push(next);
          list.push(next++);
        }
        for (let index = 0; index < -step; index++) equal(fifo.shift(), list.shift());
        equal(fifo.length, list.length);
        equal(fifo.at(0), list[0]);
        equal(fifo.at(5), list[5]);
      }
    }),
  );
});

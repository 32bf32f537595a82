/**
 * How roles begin and end, with roles that do as they are told.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { asRole, type RoleContext, type RoleSpec } from "../../src/cli/role.ts";
import { runTogether } from "../../src/cli/roles.ts";
import { ConfigError } from "../../src/errors.ts";

/** Told what to do, and keeps in which order it happened. */
class Stage {
  readonly happened: string[] = [];

  /** A role that ends with a code once `work` is done, or is ended. */
  role(
    name: string,
    work: (context: RoleContext) => Promise<number>,
    more: Partial<RoleSpec> = {},
  ): { spec: RoleSpec; flags: Record<string, string> } {
    const spec = asRole({
      read: () => {},
      ...{ name, summary: name, flags: [], examples: [] },
      ...more,
      runRole: async (_flags, context) => {
        this.happened.push(`${name} begins`);
        const signal = context.onStop((why) => `${name} is told: ${why}`);
        signal.addEventListener("abort", () => this.happened.push(`${name} is told`));
        try {
          return await Promise.race([work(context), untilAborted(signal)]);
        } finally {
          this.happened.push(`${name} ends`);
        }
      },
    });
    return { spec, flags: { name } };
  }
}

function untilAborted(signal: AbortSignal): Promise<number> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(0)));
}

const never = () => new Promise<number>(() => {});
const soon = (code: number) => () =>
  new Promise<number>((resolve) => setTimeout(resolve, 10, code));

test("runTogether() ends all in the other order with the code of the first that failed", async () => {
  const stage = new Stage();
  const code = await runTogether([
    stage.role("first", never),
    stage.role("second", soon(3)),
    stage.role("third", never),
  ]);
  equal(code, 3);
  deepEqual(stage.happened, [
    ...["first begins", "second begins", "third begins", "second ends"],
    ...["third is told", "third ends", "first is told", "first ends"],
  ]);
});

test("runTogether() gives an error that was thrown the code that it has alone", async () => {
  const stage = new Stage();
  const wrong = () => Promise.reject(new ConfigError("Invalid", "Cannot use it"));
  equal(await runTogether([stage.role("first", never), stage.role("second", wrong)]), 78);
  equal(stage.happened.at(-1), "first ends");
});

test("runTogether() begins others once the one before has opened, and none where it could not", async () => {
  const stage = new Stage();
  const opening = stage.role("first", async (context) => {
    await new Promise((resolve) => setTimeout(resolve, 10));
    stage.happened.push("first has opened");
    context.onOpened();
    return await never();
  }, { isAwaited: true, isServer: true });
  equal(await runTogether([opening, stage.role("second", soon(0))]), 0);
  deepEqual(stage.happened.slice(0, 3), ["first begins", "first has opened", "second begins"]);

  const failing = stage.role("failing", soon(1), { isAwaited: true });
  stage.happened.length = 0;
  equal(await runTogether([failing, stage.role("second", never)]), 1);
  deepEqual(stage.happened, ["failing begins", "failing ends"]);
});

test("runTogether() lets one that is done leave others at work, and ends servers when all are done", async () => {
  const stage = new Stage();
  const late = () => new Promise<number>((resolve) => setTimeout(resolve, 50, 0));
  const code = await runTogether([
    stage.role("server", never, { isServer: true }),
    stage.role("quick", soon(0)),
    stage.role("late", late),
  ]);
  equal(code, 0);
  deepEqual(stage.happened.slice(3), ["quick ends", "late ends", "server is told", "server ends"]);
});

test("runTogether() looks at what each was given before any begins, and tells each of the others", async () => {
  const stage = new Stage();
  const seen: unknown[] = [];
  const check = (_flags: unknown, beside: unknown) => {
    seen.push(beside);
    return Promise.reject(new ConfigError("Usage", "Cannot use it"));
  };
  const tasks = [stage.role("first", never), stage.role("second", never, { check })];
  equal(await runTogether(tasks), 2);
  deepEqual([stage.happened, seen], [[], [{ first: { name: "first" } }]]);
});

/**
 * A batcher that dies: an account sends batches while nodes err, fees leap, L1 is reorganised and the
 * process ends at any call of a port, before it or after it happened. One seed is one run.
 *
 * @module
 */
import { isRetryable, MontanaError } from "../../src/errors.ts";
import { costOf, weiOf } from "../../src/l1/gas.ts";
import { TxManager } from "../../src/l1/tx_manager.ts";
import type { TxManagerConfig } from "../../src/l1/tx_config.ts";
import { MemoryTxJournal } from "../../src/local/memory_tx_journal.ts";
import { SimulatedEthereum } from "../simulation/ethereum.ts";
import { planByChance, SimulatedNode } from "../simulation/ethereum_node.ts";
import { SentRecord } from "../simulation/ethereum_record.ts";
import { decodeFake, FakeKzg, FakeSigner } from "../simulation/ethereum_transactions.ts";
import { toHex } from "../../src/wire/hex.ts";
import { nameOf, Run } from "../simulation/run.ts";
import { ADDRESS, ETHER, GWEI, INBOX, MemoryBlobs, request } from "./tx_world.ts";

/** How a run goes. */
export interface LivesOptions {
  readonly batches: number;
  /** Share of calls of a node that go wrong. */
  readonly faultShare: number;
  /** Calls of ports after which the process dies, in turn; it lives on after the last. */
  readonly deaths: (run: Run) => number | undefined;
  readonly reorganisations: boolean;
  readonly feesLeap: boolean;
  readonly kind: (run: Run, number: number) => number;
  readonly config?: Partial<TxManagerConfig>;
  readonly isVerbose?: boolean;
}

const NEVER = new Promise<never>(() => {});

/** One process: from the call on which it dies nothing it does happens, and nothing is answered. */
class Life {
  #callsLeft: number;
  readonly died = Promise.withResolvers<void>();

  constructor(callsLeft: number) {
    this.#callsLeft = callsLeft;
  }

  get isDead(): boolean {
    return this.#callsLeft <= 0;
  }

  /** A port whose calls end with the life: the last one happens or not. */
  wrap<T extends object>(port: T, lastHappens: boolean): T {
    return new Proxy(port, {
      get: (target, name) => {
        const member = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          if (this.isDead) return NEVER;
          this.#callsLeft -= 1;
          const call = () => member.apply(target, args);
          if (!this.isDead) {
            const answer = call();
            if (!(answer instanceof Promise)) return answer;
            // What was asked before the end is not answered after it.
            return answer.then(
              (value) => this.isDead ? NEVER : value,
              (error) => this.isDead ? NEVER : Promise.reject(error),
            );
          }
          if (lastHappens) void Promise.resolve(call()).catch(() => {});
          this.died.resolve();
          return NEVER;
        };
      },
    });
  }
}

/** Runs one seed; the violation is in the run where there is one. */
export async function runLives(seed: number, options: LivesOptions): Promise<Run> {
  const run = new Run(seed, options.isVerbose);
  const ethereum = new SimulatedEthereum({
    random: run.random,
    traffic: () => ({ gasShare: 0.3 + 0.4 * run.random.next(), blobs: run.below(6) }),
    isOverlooked: () => run.mishap(0.2),
    ...(run.chance(0.3) ? { takesGaps: false } : {}),
    sidecar: run.pick(["cells", "legacy", "both"] as const),
  });
  ethereum.fund(ADDRESS, 1000n * ETHER);
  const record = new SentRecord({
    ethereum,
    address: ADDRESS,
    inbox: INBOX,
    leastBumpMs: options.config?.bumpIntervalMs ?? 48_000,
    check: (isKept, message) => {
      if (!isKept) run.say(message);
      run.check(isKept, message);
    },
  });
  const node = new SimulatedNode(ethereum, {
    clock: run.clock,
    plan: planByChance(run, options.faultShare, { headsBehind: 3 }),
    onSend: async (raw) => {
      const tx = await decodeFake(raw);
      run.whisper(() =>
        `send nonce ${tx.nonce} ${tx.fees.maxFeePerGas} ${tx.fees.maxFeePerBlobGas}`
      );
      record.see(tx, run.clock.elapsedMs);
    },
  });
  const journal = new MemoryTxJournal();
  const blobs = new MemoryBlobs();
  const ended = new AbortController();
  void ethereum.keepGoing(run.clock, ended.signal, 0.05);
  void upset(run, ethereum, options, ended.signal);

  const confirmed = new Set<number>();
  const kinds = Array.from({ length: options.batches }, (_, at) => options.kind(run, at));
  let manager: TxManager | undefined;

  const live = async (life: Life) => {
    const wrap = <T extends object>(port: T) => life.wrap(port, run.chance(0.5));
    const opened = await TxManager.open({
      chain: wrap(node),
      signer: wrap(new FakeSigner(ADDRESS)),
      journal: wrap(journal),
      kzg: new FakeKzg(),
      blobs: wrap(blobs),
      clock: wrap(run.clock),
      random: run.random,
      log: run.log("manager"),
    }, options.config);
    manager = opened;
    const post = async (number: number) => {
      while (!confirmed.has(number)) {
        try {
          const receipt = await opened.send(request(number, { blobs: kinds[number]! }));
          if (life.isDead) return await NEVER;
          run.say(`batch ${number} is confirmed in L1 block ${receipt.l1Block}`);
          confirmed.add(number);
        } catch (error) {
          run.note("batcher", nameOf(error));
          if (!isRetryable(error)) throw error;
          await run.clock.sleep(30_000);
        }
      }
    };
    // As a batcher does: in order, some at a time.
    const waiting: Promise<void>[] = [];
    for (let number = 0; number < options.batches; number++) {
      if (confirmed.has(number)) continue;
      const posting = post(number);
      posting.catch(() => {});
      waiting.push(posting);
      if (waiting.length >= 6) await waiting.shift();
      await run.clock.sleep(run.below(20_000));
    }
    await Promise.all(waiting);
    while (journal.attempts.length > 0) await run.clock.sleep(12_000);
  };

  const all = async () => {
    while (confirmed.size < options.batches || journal.attempts.length > 0) {
      const calls = run.isCalm ? undefined : options.deaths(run);
      const life = new Life(calls ?? Infinity);
      manager = undefined;
      const living = live(life).catch((error) => {
        if (!(error instanceof MontanaError)) throw error;
        run.note("batcher", `ends with ${nameOf(error)}`);
      });
      await Promise.race([living, life.died.promise]);
      if (life.isDead) run.note("process", "dies");
      else await (manager as TxManager | undefined)?.close();
      await run.clock.sleep(run.below(120_000));
    }
    ended.abort();
    record.verify(options.batches);
  };

  let failure: unknown;
  let isDone = false;
  const calm = run.clock.sleep(3 * 60 * 60 * 1000, ended.signal).then(() =>
    void (run.isCalm = true)
  );
  all().catch((error) => void (failure = error)).finally(() => void (isDone = true));
  await run.clock.run(
    () => isDone || run.violation !== undefined,
    6 * 60 * 60 * 1000,
  ).catch((error) => void (failure ??= error));
  ended.abort();
  await calm;
  run.say(`${record.replacements} replacements`);
  const { maxSpendPerHourWei } = options.config ?? {};
  const most = mostInAnHour(ethereum);
  if (maxSpendPerHourWei !== undefined && most > maxSpendPerHourWei) {
    failure ??= new Error(
      `${most} wei were spent in an hour, at most ${maxSpendPerHourWei} may be`,
    );
  }
  failure = run.violation ?? failure;
  if (failure === undefined) return run;
  throw new Error(`seed ${seed}: ${failure}`, { cause: failure });
}

/** Wei that the account paid in the dearest hour of the chain. */
function mostInAnHour(ethereum: SimulatedEthereum): bigint {
  const paid = ethereum.blocks.map(({ header, transactions, receipts }) => ({
    at: header.timestamp,
    wei: transactions.map(({ hash }) => weiOf(costOf(receipts.get(toHex(hash))!)))
      .reduce((sum, wei) => sum + wei, 0n),
  }));
  const hours = paid.map(({ at }) =>
    paid.filter((each) => each.at >= at && each.at < at + 3600n)
      .reduce((sum, { wei }) => sum + wei, 0n)
  );
  return hours.reduce((most, wei) => (wei > most ? wei : most), 0n);
}

/** What others do to the chain. */
async function upset(
  run: Run,
  ethereum: SimulatedEthereum,
  { reorganisations, feesLeap }: LivesOptions,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await run.clock.sleep(run.around(5_000, 400_000), signal);
    if (signal.aborted) return;
    if (reorganisations && run.mishap(0.5)) {
      const depth = run.around(1, 20);
      ethereum.reorganise(depth, { returned: run.random.next(), longer: run.below(2) });
      run.note("L1", "reorganised", ` ${depth}`);
    }
    if (feesLeap && run.mishap(0.5)) {
      const times = BigInt(run.around(1, 50));
      ethereum.setFees({ baseFee: times * GWEI, blobBaseFee: times * times * 1_000_000n });
      run.note("L1", "fees leap", ` ${times}`);
    }
  }
}

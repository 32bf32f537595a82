/**
 * In which form blobs travel to the nodes that are asked (design `ethereum.md`, "Sending" 7). What was seen
 * of real nodes: after Osaka they refuse the legacy form, before it many take the form with cells and hold
 * it until the fork. So `auto` leans to cells, unless a node says by `eth_config` that Osaka is still to
 * come; it takes the other form where the one is refused, and remembers what was accepted.
 *
 * @module
 */
import type { SidecarForm } from "../ethereum.ts";

/** Which form is sent: one of the two, or what the node takes. */
export type SidecarChoice = SidecarForm | "auto";

/** A precompile that came with Osaka (EIP-7951). */
const OSAKA_PRECOMPILE = "P256VERIFY";

/** The form that is sent next, as far as it is known. */
export class SidecarForms {
  readonly #choice: SidecarChoice;
  readonly #ethConfig: (() => Promise<unknown>) | undefined;
  #form: SidecarForm | undefined;

  /** @param ethConfig asks a node for `eth_config` (EIP-7910), which many do not know */
  constructor(choice: SidecarChoice, ethConfig?: () => Promise<unknown>) {
    this.#choice = choice;
    this.#ethConfig = ethConfig;
    if (choice !== "auto") this.#form = choice;
  }

  /** The form to try first. */
  async first(): Promise<SidecarForm> {
    this.#form ??= await this.#asNodeSays();
    return this.#form;
  }

  /** The other form, where it may be tried. */
  other(form: SidecarForm): SidecarForm | undefined {
    if (this.#choice !== "auto") return undefined;
    return form === "cells" ? "legacy" : "cells";
  }

  /** A node took this form. */
  accepted(form: SidecarForm): void {
    this.#form = form;
  }

  async #asNodeSays(): Promise<SidecarForm> {
    try {
      return isBeforeOsaka(await this.#ethConfig?.()) ? "legacy" : "cells";
    } catch {
      return "cells";
    }
  }
}

/** Whether the answer to `eth_config` says that Osaka is still to come. */
export function isBeforeOsaka(answer: unknown): boolean {
  const precompiles = (answer as EthConfig | undefined)?.current?.precompiles;
  if (typeof precompiles !== "object" || precompiles === null) return false;
  return !(OSAKA_PRECOMPILE in precompiles);
}

/** As much of the answer as matters here. */
interface EthConfig {
  readonly current?: { readonly precompiles?: unknown } | null;
}

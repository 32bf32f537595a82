/**
 * The test vectors of c-kzg-4844, as far as they are of what the port does.
 *
 * @module
 */
import { fromHex } from "../../src/wire/hex.ts";
import { readShared } from "../shared.ts";

/** A vector. An output that is missing means that the input must be refused. */
export interface KzgVector {
  readonly name: string;
  readonly blob: Uint8Array;
  readonly commitment?: Uint8Array;
  readonly proof?: Uint8Array;
  /** All hexadecimal values of the output, one after the other, or what it says in words. */
  readonly output: readonly Uint8Array[] | "true" | "false" | undefined;
}

/** Those of one function: `blob_to_kzg_commitment`. */
export function kzgVectors(method: string): KzgVector[] {
  const index = JSON.parse(new TextDecoder().decode(readShared("vectors/kzg/INDEX.json")));
  const names = (index.files as { file: string }[]).map(({ file }) => file)
    .filter((file) => file.startsWith(`${method}_case_`));
  return names.map((file) => {
    const text = new TextDecoder().decode(readShared(`vectors/kzg/${file}`));
    const [input = "", output = ""] = text.split(/^output:/m);
    const field = (name: string) => {
      const value = new RegExp(`^  ${name}: '(0x[^']*)'`, "m").exec(input)?.[1];
      return value === undefined ? {} : { [name]: lenient(value) };
    };
    const { blob } = field("blob");
    if (blob === undefined) throw new Error(`${file} has no blob`);
    const points = [...output.matchAll(/'(0x[^']+)'/g)].map(([, hex]) => fromHex(hex, "output"));
    const [word] = /true|false|null/.exec(output) ?? [];
    return {
      name: file.replace(/^.*_case_|\.yaml\.gz$/g, ""),
      blob,
      ...field("commitment"),
      ...field("proof"),
      output: points.length > 0 ? points : word === "null" ? undefined : word as "true" | "false",
    };
  });
}

/** One vector has half a byte too many. */
function lenient(hex: string): Uint8Array {
  return fromHex(hex.length % 2 === 0 ? hex : `${hex}0`, "input");
}

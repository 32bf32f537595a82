/**
 * What a node says of a signed transaction, made by viem.
 *
 * @module
 */
import { keccak256, parseTransaction, recoverTransactionAddress } from "viem";

type Hex = `0x${string}`;

/** Its fields as viem reads them, in JSON. */
export async function asNode(raw: Hex): Promise<Record<string, unknown>> {
  const { type, v, gas, data, yParity, to, accessList, authorizationList, ...fields } =
    parseTransaction(raw) as unknown as Record<string, unknown>;
  const number = (value: unknown) => `0x${BigInt((value ?? 0) as bigint).toString(16)}`;
  const types = ["legacy", "eip2930", "eip1559", "eip4844", "eip7702"];
  const json: Record<string, unknown> = {
    hash: keccak256(raw),
    type: number(types.indexOf(type as string)),
    from: await recoverTransactionAddress({ serializedTransaction: raw as never }),
    to: to ?? null,
    input: data ?? "0x",
    value: "0x0",
    nonce: "0x0",
    gas: number(gas),
    // viem leaves out what is zero. Of the later types a node tells what was paid.
    ...(["legacy", "eip2930"].includes(type as string)
      ? { gasPrice: "0x0" }
      : { gasPrice: "0x1", maxFeePerGas: "0x0", maxPriorityFeePerGas: "0x0" }),
    ...(type === "eip4844" ? { maxFeePerBlobGas: "0x0" } : {}),
    v: number(type === "legacy" ? v : yParity),
  };
  if (type !== "legacy") Object.assign(json, { accessList: accessList ?? [], yParity: json.v });
  if (authorizationList) {
    json.authorizationList = (authorizationList as Record<string, unknown>[]).map((each) => ({
      address: each.address,
      chainId: number(each.chainId),
      nonce: number(each.nonce),
      r: number(each.r),
      s: number(each.s),
      yParity: number(each.yParity),
    }));
  }
  for (const [name, value] of Object.entries(fields)) {
    const isNumber = typeof value === "bigint" || typeof value === "number" || /^[rs]$/.test(name);
    json[name] = isNumber ? number(value) : value;
  }
  return json;
}

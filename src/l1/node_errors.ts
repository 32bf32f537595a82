/** Provisional. @module */
export type NodeAnswer =
  | "already known"
  | "nonce too low"
  | "nonce too high"
  | "replacement underpriced"
  | "fee below floor"
  | "insufficient funds"
  | "reserved"
  | "blob fee too low"
  | "sidecar refused"
  | "pool full"
  | "unknown";
export function classify(_: unknown): NodeAnswer {
  return "unknown";
}

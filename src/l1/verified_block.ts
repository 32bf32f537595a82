/**
 * Blocks of L1 from nodes that are not trusted: their hashes and transactions roots are made anew. A node
 * can then leave no transaction of a batcher out, nor change one, unless it makes up the whole chain above
 * as well; that chain is the one that the consensus clients follow only they can tell.
 *
 * @module
 */
import type { JsonRpc } from "../ethereum.ts";
import { blockHashing } from "./block_hashing.ts";
import { type JsonFields, quantity } from "./json_fields.ts";
import { RawAnswers } from "./raw_answers.ts";
import { lie, mustBeAll, mustMakeHash, toldTransactions } from "./told_block.ts";

const WAY_OUT = "without --verify-l1 the node's word is taken";

/** Holds what nodes tell of blocks against its hashes. */
export class BlockVerifier {
  #raw: RawAnswers | undefined;

  /** @throws {CodecError} where the header is not the one that its hash says */
  async header(fields: JsonFields): Promise<void> {
    mustMakeHash(fields, await blockHashing(), WAY_OUT);
  }

  /**
   * @param node is asked for the signed bytes of types that nothing is known of here
   * @throws {CodecError} where the header, or a transaction, is not the one that its hash says, and where
   * the transactions are not those of the header
   */
  async block(fields: JsonFields, node: JsonRpc): Promise<void> {
    await this.header(fields);
    const hashing = await blockHashing();
    const number = quantity(fields, "number");
    const raws: Uint8Array[] = [];
    for (const [index, told] of toldTransactions(fields, hashing).entries()) {
      // Bytes that are right say nothing of the fields beside them, which are what is read.
      if (told.fault) throw told.fault;
      const ask = (this.#raw ??= new RawAnswers(hashing)).of(node);
      const raw = told.raw ?? await ask({ number }, { index, ...told });
      // Nor of a type that would have it passed over.
      if (!told.raw && raw[0] !== told.type) {
        throw lie(`transaction ${index}: it is no transaction of type ${told.type}`);
      }
      raws.push(raw);
    }
    mustBeAll(raws, fields, hashing);
  }
}

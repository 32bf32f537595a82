/**
 * JSON of strangers. Parsers take time that grows with the square of the nesting, and memory by the value;
 * so both are counted first, in one pass over the bytes.
 *
 * @module
 */

/** The deepest request has some ten. */
const MAX_NESTING = 32;
/** A block has some thousand transactions, and a list of requests is short. */
const MAX_VALUES = 2 ** 20;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN, CLOSE, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Parses UTF-8 JSON.
 *
 * @throws {SyntaxError | TypeError} where it is none
 * @throws {RangeError} where it is nested deeper than 32, or has more than 2^20 values
 */
export function parseBoundedJson(bytes: Uint8Array): unknown {
  mustBeBounded(bytes);
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
}

function mustBeBounded(bytes: Uint8Array): void {
  let nesting = 0;
  let values = 1;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE:
        at = endOfString(bytes, at);
        break;
      case OPEN:
      case OPEN_OBJECT:
        nesting += 1;
        values += 1;
        if (nesting > MAX_NESTING) {
          throw new RangeError(`it is nested deeper than ${MAX_NESTING}`);
        }
        break;
      case CLOSE:
      case CLOSE_OBJECT:
        nesting -= 1;
        break;
      case COMMA:
        values += 1;
        if (values > MAX_VALUES) throw new RangeError(`it has more than ${MAX_VALUES} values`);
    }
  }
}

/** Where the quote is that ends it; the last byte where there is none. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let at = start;;) {
    at = bytes.indexOf(QUOTE, at + 1);
    if (at < 0) return bytes.length - 1;
    let first = at;
    while (bytes[first - 1] === BACKSLASH) first -= 1;
    if ((at - first) % 2 === 0) return at;
  }
}

/**
 * Brotli by WebAssembly: one whole stream to bytes, and back.
 *
 * The glue keeps one instance a module, in a variable of its own. Everything between getting it and
 * leaving it is therefore synchronous, and an instance that trapped is replaced before the next
 * use.
 *
 * @module
 */
import { CompressionError } from "../errors.ts";
import { decompressesTooLarge } from "./bound.ts";
import instantiate, {
  type BrotliStreamResult,
  BrotliStreamResultCode,
  CompressStream,
  DecompressStream,
} from "./brotli_wasm/glue.js";

/**
 * Input goes to the encoder in runs of the longest meta-block. That keeps WASM memory, which never
 * shrinks, below 120 MiB at any level and size; runs of 4 MiB would cost 4 % of the ratio at level
 * 5.
 */
const ENCODER_INPUT_BYTES = 1 << 24;
/** Above what Brotli adds to incompressible input, so that a run is never copied in twice. */
const ENCODER_SLACK_BYTES = 1 << 16;
/** What the decoder is given at once, and what both are asked for: larger is not faster. */
const DECODER_INPUT_BYTES = 1 << 16;
const OUTPUT_BYTES = 1 << 16;

/**
 * First seven bits of a stream with a window above 24, which RFC 7932 does not have (section 9.1)
 * and this decoder takes nevertheless, up to a window of 1 GiB.
 */
const LARGE_WINDOW_BITS = 0b0010001;

/** What glue's streams say when the bytes are to blame. */
const STREAM_FAILURE = "Brotli streaming decompress failed";

let compiled: Promise<WebAssembly.Module> | undefined;
/**
 * Whether the glue holds an instance to rely on: not before the first use, and not after a trap.
 */
let isReady = false;

/** Compresses `data` at `level`, 1 to 11, with a window of 22 bits. */
export function wasmBrotliCompress(data: Uint8Array, level: number): Promise<Uint8Array> {
  return withInstance(() => {
    const stream = new CompressStream(level);
    const chunks: Uint8Array[] = [];
    try {
      for (let offset = 0; offset < data.length;) {
        const run = data.subarray(offset, offset + ENCODER_INPUT_BYTES);
        const step = take(stream.compress(run, run.length + ENCODER_SLACK_BYTES));
        if (isIdle(step)) throw new Error(`the encoder stands still at byte ${offset}`);
        chunks.push(step.output);
        offset += step.consumedBytes;
      }
      for (;;) {
        const step = take(stream.compress(undefined, OUTPUT_BYTES));
        chunks.push(step.output);
        if (step.code === BrotliStreamResultCode.ResultSuccess) return concat(chunks);
        if (isIdle(step)) throw new Error("the encoder does not end its stream");
      }
    } finally {
      release(stream);
    }
  });
}

/** Decompresses `data`, which must be one stream and nothing more, to at most `maxBytes`. */
export function wasmBrotliDecompress(data: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  return withInstance(() => {
    if (((data[0] ?? 0) & 0x7f) === LARGE_WINDOW_BITS) {
      throw corrupted(data, "its window is larger than RFC 7932 allows");
    }
    const stream = new DecompressStream();
    const chunks: Uint8Array[] = [];
    let offset = 0;
    let size = 0;
    try {
      for (;;) {
        const input = data.subarray(offset, offset + DECODER_INPUT_BYTES);
        // One byte over the bound is asked for, to tell a stream that ends there from one that goes
        // on.
        const step = decode(
          data,
          stream,
          input,
          Math.min(OUTPUT_BYTES, maxBytes - size + 1),
        );
        offset += step.consumedBytes;
        size += step.output.length;
        if (size > maxBytes) throw decompressesTooLarge(data.length, size, maxBytes);
        chunks.push(step.output);
        if (step.code === BrotliStreamResultCode.ResultSuccess) break;
        if (isIdle(step)) throw corrupted(data, "its end is missing");
      }
    } finally {
      release(stream);
    }
    if (offset < data.length) {
      throw corrupted(data, `${data.length - offset} bytes follow the end of the stream`);
    }
    return concat(chunks);
  });
}

/**
 * Runs `work` on the one instance of this process. What it throws that is not ours is a trap, or an
 * engine out of memory: nothing in that instance can be relied on any more, so it is not used
 * again.
 */
export async function withInstance<T>(work: () => T): Promise<T> {
  const module = await (compiled ??= compile());
  try {
    if (!isReady) instantiate(module);
    isReady = true;
    return work();
  } catch (error) {
    if (error instanceof CompressionError) throw error;
    isReady = false;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CompressionError("Failed", `Cannot go on with Brotli in WASM: ${reason}`, {
      cause: error,
    });
  }
}

async function compile(): Promise<WebAssembly.Module> {
  try {
    // 670 kB of text that a command without Brotli need not parse.
    const { WASM_GZIP_BASE64 } = await import("./brotli_wasm/wasm.ts");
    const gzip = new Blob([fromBase64(WASM_GZIP_BASE64)]).stream();
    const wasm = await new Response(gzip.pipeThrough(new DecompressionStream("gzip")))
      .arrayBuffer();
    return await WebAssembly.compile(wasm);
  } catch (error) {
    compiled = undefined;
    throw new CompressionError("Failed", "Cannot load Brotli in WASM", { cause: error });
  }
}

/** Some milliseconds for the one text there is; Node 22 has no `Uint8Array.fromBase64`. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

interface Step {
  readonly code: number;
  readonly output: Uint8Array;
  readonly consumedBytes: number;
}

/** Neither took nor gave anything: the next step would be the same. */
function isIdle(step: Step): boolean {
  return step.consumedBytes === 0 && step.output.length === 0;
}

function take(result: BrotliStreamResult): Step {
  try {
    return { code: result.code, output: result.buf, consumedBytes: result.input_offset };
  } finally {
    release(result);
  }
}

function decode(
  data: Uint8Array,
  stream: DecompressStream,
  input: Uint8Array,
  outputBytes: number,
): Step {
  try {
    return take(stream.decompress(input, outputBytes));
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith(STREAM_FAILURE)) throw error;
    throw corrupted(data, error.message.slice(STREAM_FAILURE.length + 2), error);
  }
}

/** Frees an object of the instance. After a trap it cannot be: it goes with its instance. */
function release(object: { free(): void }): void {
  try {
    object.free();
  } catch {
    isReady = false;
  }
}

function corrupted(data: Uint8Array, reason: string, cause?: unknown): CompressionError {
  return new CompressionError(
    "Corrupted",
    `Cannot decompress ${data.length} bytes as Brotli: ${reason}`,
    { cause, details: { size: data.length } },
  );
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1 && chunks[0]) return chunks[0];
  const whole = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

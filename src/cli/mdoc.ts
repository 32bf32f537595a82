/**
 * Text for mdoc(7), the language of manual pages, as `mandoc -Tlint` likes it.
 *
 * @module
 */

/** mandoc calls longer lines bad style. */
const LINE_LENGTH = 78;

/** Text in short lines, a sentence on lines of its own; characters that roff would take for its own escaped. */
export function paragraph(text: string): string {
  return text.split(/(?<=[.!?]) +/).flatMap(linesOf).map((line) => `${line}\n`).join("");
}

function linesOf(sentence: string): string[] {
  const lines: string[] = [];
  for (const word of sentence.split(/\s+/).filter((each) => each !== "").map(escaped)) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= LINE_LENGTH) {
      lines[lines.length - 1] = `${line} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines.map(asText);
}

/** Lines that stay as they are. */
export function literal(lines: readonly string[]): string {
  const text = lines.map((line) => `${asText(escaped(line))}\n`).join("");
  return `.Bd -literal -offset indent -compact\n${text}.Ed\n`;
}

/** A macro with its arguments, each one word. */
export function macro(name: string, ...words: readonly string[]): string {
  return [`.${name}`, ...words.map(argument)].join(" ") + "\n";
}

function argument(word: string): string {
  const text = escaped(word);
  return /[\s"]/.test(text) || text === "" ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A dash that can be copied, and what is no ASCII by its number. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(
    /[^\x20-\x7e]/gu,
    (each) => `\\[u${each.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
  );
}

/** At the start of a line, these two would begin a macro. */
function asText(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

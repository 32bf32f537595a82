/**
 * The manual page: one for the program, with all its commands and flags.
 *
 * @module
 */
import {
  type CommandGroup,
  type CommandSpec,
  DESCRIPTION,
  EXIT_MEANINGS,
  type Flag,
} from "./command.ts";
import { literal, macro, paragraph } from "./mdoc.ts";

/** What the page says of itself. */
export interface ManualOptions {
  readonly version: string;
  /** Milliseconds since 1970: mdoc(7) wants a day. */
  readonly nowMs: number;
}

const SIGNALS: readonly (readonly [name: string, text: string])[] = [
  [
    "SIGTERM, SIGINT, SIGHUP",
    "Drain: what was taken is posted, handled or handed over, as far as the time of --shutdown-timeout " +
    "goes where a command has it. A second one stops at once; nothing is lost.",
  ],
  ["SIGUSR1", "A processor hands over at once what waits."],
];

const ENVIRONMENT: readonly (readonly [name: string, text: string])[] = [
  [
    "MONTANA_KEY",
    "A private key, where --key-env names no other variable. It is removed when it was read.",
  ],
  ["MONTANA_CONFIG", "The file of a configuration, where --config names none."],
  [
    "MONTANA_ROLE_FLAG",
    "A flag of a role that is not given, such as MONTANA_BATCHER_MAX_BLOBS for --max-blobs of batcher. " +
    "It counts for more than the file.",
  ],
  [
    "BATCH_*",
    "Settings of the superblock coordinator, such as BATCH_L1_LISTENER_L1_RPC. They count for more " +
    "than those of its file.",
  ],
  [
    "NOTIFY_SOCKET, WATCHDOG_USEC",
    "systemd is told there when all roles have looked at what they work with, that their loops turn, and " +
    "that they end.",
  ],
  ["MONTANA_TRACE", "Where it is set, errors that nobody foresaw are told with their stack."],
];

/** The page. */
export function manualPage(
  specs: readonly (CommandSpec | CommandGroup)[],
  { version, nowMs }: ManualOptions,
): string {
  return [
    dateLine(nowMs),
    macro("Dt", "MONTANA", "1"),
    macro("Os", "montana", version),
    macro("Sh", "NAME"),
    macro("Nm", "montana"),
    // No full stop there, says mandoc.
    macro("Nd", DESCRIPTION.replace(/\.$/, "")),
    macro("Sh", "SYNOPSIS"),
    macro("Nm"),
    macro("Ar", "command"),
    ".Op Ar flags\n",
    macro("Sh", "DESCRIPTION"),
    paragraph(
      "A batcher, a deriver and a durable batch processor for L2 chains of Ethereum, in one program. " +
        "A batcher takes blocks of L2 and posts them in batches to L1, a deriver reads them back. " +
        "The result goes to standard output, the log to standard error. " +
        "Where a command answers, --json has it answer in JSON. " +
        "Times are written as 100ms, 12s, 2m or 1h, sizes as 128KiB or 1MB, amounts as 30gwei or " +
        "0.5ether. " +
        "In the place of a URL with a key in it, env:NAME takes it out of the environment.",
    ),
    macro("Sh", "COMMANDS"),
    paragraph("What follows is also told by --help behind each command."),
    ...specs.flatMap((spec) => "commands" in spec ? groupText(spec) : commandText(spec)),
    macro("Sh", "SIGNALS"),
    listOf(SIGNALS.map(([name, text]) => [macro("It", "Dv", name), text])),
    macro("Sh", "ENVIRONMENT"),
    listOf(ENVIRONMENT.map(([name, text]) => [macro("It", "Ev", name), text])),
    macro("Sh", "EXIT STATUS"),
    listOf(EXIT_MEANINGS.flat().map(([code, meaning]) => [macro("It", `${code}`), meaning])),
  ].join("");
}

/** As mdoc(7) wants it: `November 22, 2026`. */
function dateLine(nowMs: number): string {
  const format = { year: "numeric", month: "long", day: "numeric", timeZone: "UTC" } as const;
  return `.Dd ${new Date(nowMs).toLocaleDateString("en-US", format)}\n`;
}

function groupText({ name, commands }: CommandGroup): string[] {
  return commands.flatMap((each) => commandText(each, `${name} `));
}

function commandText(spec: CommandSpec, before = ""): string[] {
  const { summary, flags, examples, argument } = spec;
  const flagItems = flags.map((flag) => [flagItem(flag), flagHelp(flag)] as const);
  const needed = flags.filter(({ isRequired }) => isRequired).map((flag) => ` ${flag.flags}`);
  const usage = `montana ${before}${spec.name}${argument ? ` ${argument.name}` : ""}` +
    `${needed.join("")}${needed.length < flags.length ? " [flags]" : ""}`;
  return [
    macro("Ss", `montana ${before}${spec.name}`),
    paragraph(`${summary}.`),
    macro("Pp"),
    literal([usage]),
    ...(argument || flagItems.length > 0 ? [macro("Pp")] : []),
    listOf([
      ...(argument
        ? [[macro("It", "Ar", argument.name.replace(/[<>]/g, "")), argument.help] as const]
        : []),
      ...flagItems,
    ]),
    macro("Pp"),
    paragraph(examples.length === 1 ? "Example:" : "Examples:"),
    literal(examples.map((line) => `montana ${line}`)),
  ];
}

function flagItem({ flags }: Flag): string {
  const [name = "", value] = flags.split(" ");
  // `Fl` writes a dash of its own.
  const words = ["Fl", name.slice(1)];
  if (value === undefined) return macro("It", ...words);
  const placeholder = value.replace(/[<>[\]]/g, "");
  return macro("It", ...words, ...(value.startsWith("[") ? ["Op"] : []), "Ar", placeholder);
}

function flagHelp({ help, value, isRequired, isRepeated }: Flag): string {
  const notes = [
    ...(isRequired ? ["needed"] : []),
    ...(isRepeated && !/repeated/.test(help) ? ["may be repeated"] : []),
    ...(value === undefined ? [] : [`default: ${value}`]),
  ];
  return `${help}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`;
}

function listOf(items: readonly (readonly [head: string, text: string])[]): string {
  if (items.length === 0) return "";
  const body = items.map(([head, text]) => head + paragraph(text)).join("");
  return `.Bl -tag -width Ds -compact\n${body}.El\n`;
}

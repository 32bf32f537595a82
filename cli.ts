/**
 * The program. `montana --help` lists the commands; each is one file in `src/cli`.
 *
 * @module
 */
import process from "node:process";
import { main } from "./src/cli/program.ts";

process.exit(await main(process.argv.slice(2)));

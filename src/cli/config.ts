/**
 * `montana config`: what roles are told by a file and the environment.
 *
 * @module
 */
import type { CommandGroup } from "./command.ts";
import { check } from "./config_check.ts";
import { init } from "./config_init.ts";
import { reference, schema } from "./config_schema.ts";
import { show } from "./config_show.ts";

/** The commands around a configuration. */
export const config: CommandGroup = {
  name: "config",
  summary: "Begin, check and show a configuration of all roles",
  commands: [init, check, show, schema, reference],
};

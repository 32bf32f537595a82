/**
 * `montana config`: what roles are told by a file and the environment.
 *
 * @module
 */
import type { CommandGroup } from "./command.ts";
import { check } from "./config_check.ts";
import { show } from "./config_show.ts";

/** The commands around a configuration. */
export const config: CommandGroup = {
  name: "config",
  summary: "Check and show a configuration of all roles",
  commands: [check, show],
};

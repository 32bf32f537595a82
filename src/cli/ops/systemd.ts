/**
 * A unit of systemd for a role: told when it is ready and that it lives, and kept from all that it does
 * not need.
 *
 * @module
 */
import { EXIT } from "../command.ts";
import { UNIT_ROLES } from "./roles.ts";

/** Those that sign. */
const SIGNING: readonly string[] = ["batcher"];

/** An example of what stands in the environment file. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  batcher: [
    "MONTANA_FLAGS=--l2 http://127.0.0.1:9545 --l1 env:L1_URL --beacon env:BEACON_URL --inbox 0xff00000000000000000000000000000000008453",
  ],
  deriver: [
    "MONTANA_FLAGS=--l1 env:L1_URL --beacon env:BEACON_URL --inbox 0xff00000000000000000000000000000000008453 --batcher 0x5050f69a9786f081509234f1a7f4684b5e5b76c9 --out derived.jsonl",
  ],
  processor: ["MONTANA_FLAGS=--to shards --listen 9000"],
  superblock: ["MONTANA_FLAGS=--config /etc/montana/montana.yaml --l2 http://127.0.0.1:9545"],
  run: [
    "MONTANA_FLAGS=--role batcher,deriver --l2 http://127.0.0.1:9545 --l1 env:L1_URL --beacon env:BEACON_URL --inbox 0xff00000000000000000000000000000000008453 --key-file /run/credentials/montana-run.service/key --out derived.jsonl",
  ],
};
const URLS = ["L1_URL=https://l1.example/v3/KEY", "BEACON_URL=https://beacon.example"];

/** To start again the same way ends the same way, or was not wanted. */
const NO_RESTART = [EXIT.usage, EXIT.undecided, EXIT.badConfig, EXIT.aborted];

/** By which a runtime would load code that is not ours, or let somebody in. */
export const RUNTIME_VARIABLES: readonly string[] = [
  ...["BUN_OPTIONS", "BUN_BE_BUN", "BUN_INSPECT", "BUN_INSPECT_CONNECT_TO", "BUN_INSPECT_NOTIFY"],
  ...["BUN_INSPECT_PRELOAD", "BUN_CONFIG_REGISTRY", "NODE_OPTIONS", "NODE_PATH"],
  ...["NODE_TLS_REJECT_UNAUTHORIZED", "LD_PRELOAD", "LD_LIBRARY_PATH"],
];

/**
 * The unit.
 *
 * @param role one of {@link UNIT_ROLES}
 * @param binary where the executable is
 */
export function systemdUnit(role: string, binary: string): string {
  const name = `montana-${role}`;
  const example = EXAMPLES[role]!;
  const lines = [...example, ...(/env:/.test(example.join()) ? URLS : [])];
  const signs = SIGNING.includes(role);
  const credential = signs || role === "run";
  return `# ${name}.service, as \`montana ops dump systemd --role ${role}\` prints it.
#
# What it is to do stands in /etc/montana/${role}.env, which belongs to root alone (chmod 600):
${lines.map((line) => `#   ${line}\n`).join("")}${
    credential ? `# The key is in /etc/montana/${role}.key, likewise; systemd hands it over.\n` : ""
  }# Relative paths are below /var/lib/${name}. To check all of it: montana doctor, with the same flags.

[Unit]
Description=Montana ${role}: ${UNIT_ROLES[role]}
Documentation=man:montana(1)
Wants=network-online.target
After=network-online.target time-sync.target
# What it waits for may be away for long: it is started again and again.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=${escaped(binary)} ${role} --data-dir %S/${name}${
    signs ? " --key-file %d/key" : ""
  } $MONTANA_FLAGS
EnvironmentFile=/etc/montana/${role}.env
# A runtime would load code by them, or let a debugger in. It counts over the file above.
UnsetEnvironment=${RUNTIME_VARIABLES.join(" ")}
${credential ? `LoadCredential=key:/etc/montana/${role}.key\n` : ""}
# Ready once it has looked at all that it works with: a node that is down is waited for.
TimeoutStartSec=infinity
# Its loops have to turn; time that a node or L1 takes does not count.
WatchdogSec=5min
# It posts or handles what it took, which --shutdown-timeout bounds.
TimeoutStopSec=330s
KillMode=mixed
Restart=on-failure
RestartSec=5s
# Wrong flags or files, or a decision that is for people.
RestartPreventExitStatus=${NO_RESTART.join(" ")}

DynamicUser=yes
StateDirectory=${name}
StateDirectoryMode=0700
WorkingDirectory=%S/${name}
UMask=0077
# Keys are in its memory.
LimitCORE=0
LimitNOFILE=65536

# Not MemoryDenyWriteExecute=: it takes the compiler away that makes JavaScript fast (Bun runs on, and
# takes twenty times as long; Deno and Node end).
CapabilityBoundingSet=
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateIPC=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged

[Install]
WantedBy=multi-user.target
`;
}

/** The first word of a command line of systemd, which stands for no variable. */
function escaped(path: string): string {
  const text = path.replaceAll("%", "%%");
  return /\s/.test(text) ? `"${text}"` : text;
}

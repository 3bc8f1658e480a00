// rsyslog, which takes the rows over TLS and keeps them, and syslog-ng, to which it passes them on.
import { existsSync, readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Authority } from './authority.ts';
import { type Stack, call, freePort, listening, root, run } from './programs.ts';

export type Receiver = {
  version: string;
  /** What it has kept: a line a row, the message as it came. */
  rows: () => Promise<string[]>;
};

export type Syslog = { address: string; rsyslog: Receiver; syslogNg: Receiver };

const lines = (file: string) => async () =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');

export async function syslog(stack: Stack, authority: Authority): Promise<Syslog> {
  const folder = await stack.folder('sl-');
  const [port, relay] = [await freePort(), await freePort()];
  const at = (name: string) => join(folder, name);
  const ng = await syslogNg(stack, at, relay);

  const { certificate, key } = await authority.issue('rsyslog');
  await writeFile(
    at('rsyslog.conf'),
    `global(workDirectory="${folder}" maxMessageSize="256k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="${authority.certificate}" defaultNetstreamDriverCertFile="${certificate}"
  defaultNetstreamDriverKeyFile="${key}")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
template(name="message" type="string" string="%msg%\\n")
template(name="whole" type="string" string="<%PRI%>1 %TIMESTAMP:::date-rfc3339% %HOSTNAME% %APP-NAME% %PROCID% %MSGID% %STRUCTURED-DATA% %msg%")
input(type="imtcp" address="127.0.0.1" port="${port}" ruleset="rows")
ruleset(name="rows") {
  action(type="omfile" file="${at('rsyslog.rows')}" template="message")
  action(type="omfwd" target="127.0.0.1" port="${relay}" protocol="tcp" TCP_Framing="octet-counted" template="whole")
}
syslog.* action(type="omfile" file="${at('rsyslog.own')}")
`,
  );
  const log = at('rsyslog.log');
  const server = run(stack, 'rsyslogd', ['-n', '-f', at('rsyslog.conf'), '-i', at('rsyslog.pid')], { log });
  await listening(port, server, log);
  const version = /rsyslogd +([\d.]+)/.exec(await call('rsyslogd', ['-v']))![1];
  return { address: `127.0.0.1:${port}`, rsyslog: { version, rows: lines(at('rsyslog.rows')) }, syslogNg: ng };
}

async function syslogNg(stack: Stack, at: (name: string) => string, port: number): Promise<Receiver> {
  const unpacked = join(root, 'target/tools/syslog-ng');
  if (!existsSync(join(unpacked, 'usr/sbin/syslog-ng'))) throw new Error('run `make test-tools`');
  const libraries = join(unpacked, 'usr/lib/syslog-ng');
  const modules = readdirSync(libraries, { withFileTypes: true }).find((entry) => entry.isDirectory())!.name;
  const architecture = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const path = [libraries, join(unpacked, 'usr/lib', architecture), join(unpacked, 'lib', architecture)].join(':');
  const env = { ...process.env, LD_LIBRARY_PATH: path };
  await writeFile(
    at('ng.conf'),
    `@version: 3.38
options { log-msg-size(262144); stats-freq(0); };
source s { syslog(ip("127.0.0.1") port(${port}) transport("tcp")); };
destination rows { file("${at('ng.rows')}" template("\${MSG}\\n")); };
log { source(s); destination(rows); };
`,
  );
  const program = join(unpacked, 'usr/sbin/syslog-ng');
  const module = `--module-path=${join(libraries, modules)}`;
  const log = at('ng.log');
  const server = run(
    stack,
    program,
    ['--foreground', '--no-caps', '--cfgfile', at('ng.conf'), '--persist-file', at('ng.persist'), '--pidfile', at('ng.pid'), '--control', at('ng.ctl'), module],
    { log, env },
  );
  await listening(port, server, log);
  const version = /\(([\d.]+)\)/.exec(await call(program, [module, '-V'], env))![1];
  return { version, rows: lines(at('ng.rows')) };
}

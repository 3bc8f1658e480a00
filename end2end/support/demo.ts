// Starts a demo of its own: a free port, a fresh data folder, nothing left afterwards.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export type Person = {
  email: string;
  name: string;
  role: 'platform_admin' | 'auditor';
  password: string;
};

/** What the demo writes to `demo.json`. */
export type Facts = {
  address: string;
  customer_side: string;
  staff: Person[];
  orgs: {
    slug: string;
    name: string;
    credentials: { role: 'owner' | 'admin' | 'operator'; token: string }[];
  }[];
  owner_pgp: { org: string; email: string; private_key: string; fingerprint: string }[];
  platform_pgp: { public_key: string; fingerprint: string };
  webhooks: { org: string; id: string; label: string; key: string }[];
  vault_tokens: { org: string; id: string; label: string; accessor: string; token: string }[];
  gateways: { org: string; id: string; label: string }[];
  gateway_listener: string;
};

export type Demo = Facts & {
  data: string;
  /** The mode of `demo.json`, such as 0o600. */
  mode: number;
  log: string;
  stop: () => Promise<void>;
};

const root = resolve(import.meta.dirname, '../..');
const binary = process.env.KEYTURN ?? join(root, 'target/debug/keyturn');

/** `keyturn verify` over the demo's data: throws where a log does not hold. */
export async function verifyLogs(demo: Demo): Promise<string> {
  const { stdout } = await promisify(execFile)(binary, ['verify', '--data', demo.data]);
  return stdout;
}

/** `keyturn verify FILE --key KEY`: its exit code, and what it says. */
export async function verifyEvidence(file: string, key: string): Promise<{ code: number; text: string }> {
  try {
    const { stdout } = await promisify(execFile)(binary, ['verify', file, '--key', key]);
    return { code: 0, text: stdout };
  } catch (error) {
    const failed = error as { code?: number; stdout?: string };
    if (typeof failed.code !== 'number') throw error;
    return { code: failed.code, text: failed.stdout ?? '' };
  }
}

export async function startDemo(name: string): Promise<Demo> {
  const data = await mkdtemp(join(tmpdir(), 'keyturn-'));
  const port = await freePort();
  mkdirSync(join(root, 'end2end/artifacts'), { recursive: true });
  const log = join(root, `end2end/artifacts/server-${name}.log`);

  const server = spawn(binary, ['demo'], {
    cwd: root,
    env: { ...process.env, PORT: String(port), DATA: data },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const file = createWriteStream(log);
  server.stdout.pipe(file, { end: false });
  server.stderr.pipe(file, { end: false });
  const stop = async () => {
    await end(server);
    file.end();
    await rm(data, { recursive: true, force: true });
  };

  try {
    await healthy(server, `http://127.0.0.1:${port}/healthz`, log);
    const path = join(data, 'demo.json');
    const facts: Facts = JSON.parse(await readFile(path, 'utf8'));
    return { ...facts, data, mode: (await stat(path)).mode & 0o777, log, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function healthy(server: ChildProcess, url: string, log: string) {
  let failure: Error | undefined;
  server.once('error', (error) => (failure = error));
  for (const until = Date.now() + 60_000; Date.now() < until; await sleep(100)) {
    if (failure) throw failure;
    if (server.exitCode !== null) throw new Error(`the demo stopped at once; see ${log}`);
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
  }
  throw new Error(`the demo did not answer at ${url}; see ${log}`);
}

async function end(server: ChildProcess) {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
  const gone = once(server, 'exit');
  server.kill('SIGTERM');
  const late = setTimeout(() => server.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(late);
}

/** A port that is free together with the two after it, of the customer's side and the gateways. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if ((await isFree(port)) && (await isFree(port + 1)) && (await isFree(port + 2))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
  });
}

// Real programs of other people, each started on a free port in a folder of its own, and ended.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export const root = resolve(import.meta.dirname, '../../..');
export const keyturn = process.env.KEYTURN ?? join(root, 'target/debug/keyturn');

/** A program of `.ci/requirements.txt`. */
export const fromPypi = (name: string) => join(root, 'target/tools/python/bin', name);

/** What has to be undone at the end, last first. */
export class Stack {
  #undo: (() => Promise<unknown>)[] = [];

  later(undo: () => Promise<unknown>) {
    this.#undo.unshift(undo);
  }

  async end() {
    for (const undo of this.#undo) await undo().catch((error) => console.error(error));
    this.#undo = [];
  }

  async folder(prefix: string): Promise<string> {
    // Short: sockets lie in some, and a socket's path has 108 bytes.
    const folder = await mkdtemp(join(tmpdir(), prefix));
    this.later(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }
}

export type Options = { cwd?: string; env?: NodeJS.ProcessEnv; log: string };

/** Starts a program that runs until the stack's end. */
export function run(stack: Stack, program: string, args: string[], options: Options): ChildProcess {
  const log = openSync(options.log, 'a');
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.on('error', (error) => console.error(`${program}: ${error.message}`));
  stack.later(async () => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await gone;
    clearTimeout(late);
  });
  return child;
}

/** Runs a program to its end; what it printed. */
export async function call(program: string, args: string[], env: NodeJS.ProcessEnv = {}, input = ''): Promise<string> {
  const running = promisify(execFile)(program, args, {
    env: { ...process.env, ...env },
    maxBuffer: 16 << 20,
  });
  // A program that reads nothing may be gone before.
  running.child.stdin?.on('error', () => {}).end(input);
  return (await running).stdout;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

/** Waits until something listens there. */
export async function listening(port: number, child: ChildProcess, log: string) {
  const open = () =>
    new Promise<boolean>((done) => {
      const socket = connect(port, '127.0.0.1', () => (socket.destroy(), done(true)));
      socket.on('error', () => done(false));
    });
  for (const until = Date.now() + 30_000; Date.now() < until; await sleep(100)) {
    if (await open()) return;
    if (child.exitCode !== null) break;
  }
  throw new Error(`nothing listens: ${(await readFile(log, 'utf8')).slice(-2000)}`);
}

/** Waits until `found` gives something. */
export async function eventually<T>(what: string, found: () => Promise<T | undefined>, seconds = 30): Promise<T> {
  for (const until = Date.now() + seconds * 1000; ; await sleep(200)) {
    const value = await found();
    if (value !== undefined) return value;
    if (Date.now() > until) throw new Error(`${what}: not within ${seconds} s`);
  }
}

/** Records that something holds, for docs/interop.md. */
export async function holds(area: string, program: string, version: string, tried: string, what: string) {
  const file = join(root, 'target/interop/found.jsonl');
  await mkdir(dirname(file), { recursive: true });
  await appendFile(file, `${JSON.stringify({ area, program, version, tried, holds: what })}\n`);
}

// A demo of its own for a browser that Playwright does not drive: a free port, a fresh folder.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, createWriteStream, mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = resolve(import.meta.dirname, '../..');
export const pictures = join(root, 'end2end/artifacts/browsers');
mkdirSync(pictures, { recursive: true });

/** Starts a demo, hands it to `work`, and ends it, whatever comes of that. */
export async function withDemo(name, work) {
  const data = await mkdtemp(join(tmpdir(), 'keyturn-'));
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const log = createWriteStream(join(pictures, `${name}-server.log`));
  const server = spawn(process.env.KEYTURN ?? join(root, 'target/debug/keyturn'), ['demo'], {
    cwd: root,
    env: { ...process.env, PORT: String(port), DATA: data },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  server.stdout.pipe(log);
  server.stderr.pipe(log);
  try {
    await until(`an answer at ${address}`, 60_000, async () => {
      if (server.exitCode !== null) throw new Error('the demo stopped at once');
      return (await fetch(`${address}/healthz`).catch(() => undefined))?.ok;
    });
    const facts = JSON.parse(await readFile(join(data, 'demo.json'), 'utf8'));
    const key = (await readFile(join(data, 'log-key.txt'), 'utf8')).trim();
    await work({ address, key, staff: facts.staff });
  } finally {
    if (server.exitCode === null) {
      const gone = once(server, 'exit');
      server.kill('SIGTERM');
      const late = setTimeout(() => server.kill('SIGKILL'), 10_000);
      await gone;
      clearTimeout(late);
    }
    await rm(data, { recursive: true, force: true });
  }
}

/** Waits until `holds` gives something true. */
export async function until(what, milliseconds, holds) {
  let last;
  for (const end = Date.now() + milliseconds; Date.now() < end; await sleep(150)) {
    try {
      const found = await holds();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`not seen within ${milliseconds} ms: ${what}${last ? ` (${last.message})` : ''}`);
}

/** A line for docs/interop.md, as the Rust tests write them. */
export function holds(program, version, tried, what) {
  const folder = join(root, 'target/interop');
  mkdirSync(folder, { recursive: true });
  const line = { area: 'Browsers', program, version, tried, holds: what };
  appendFileSync(join(folder, 'found.jsonl'), `${JSON.stringify(line)}\n`);
}

/** A port that is free together with the two after it. */
async function freePort() {
  for (;;) {
    const port = 33_000 + Math.floor(Math.random() * 12_000);
    const free = await Promise.all([0, 1, 2].map((n) => isFree(port + n)));
    if (free.every(Boolean)) return port;
  }
}

function isFree(port) {
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
  });
}

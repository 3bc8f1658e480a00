// Serves a copy of a year of `keyturn bench-data`, with an auditor who may sign in.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export type Year = { address: string; email: string; password: string; data: string; stop: () => Promise<void> };

const root = resolve(import.meta.dirname, '../..');
const binary = process.env.KEYTURN ?? join(root, 'target/release/keyturn');

export async function startYear(): Promise<Year> {
  const original = resolve(process.env.BENCH_DATA ?? join(root, 'data/bench'));
  const data = await mkdtemp(join(tmpdir(), 'keyturn-year-'));
  await cp(original, data, { recursive: true });
  const port = 32_000 + Math.floor(Math.random() * 8_000);
  const address = `http://127.0.0.1:${port}`;
  const config = join(data, 'keyturn.toml');
  const text = (await readFile(config, 'utf8'))
    .replaceAll(original, data)
    .replace(/^base_url = .*$/m, `base_url = "${address}"\nlisten = "127.0.0.1:${port}"`);
  await writeFile(config, text);

  const [email, password] = ['looks@platform.example', 'a passphrase for looking only'];
  const added = spawnSync(
    binary,
    ['staff', '--config', config, 'add', '--email', email, '--name', 'Looks', '--role', 'auditor'],
    { input: password, cwd: root, encoding: 'utf8' },
  );
  if (added.status !== 0) throw new Error(`no auditor: ${added.stderr}`);

  const server = spawn(binary, ['serve', '--config', config], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(join(root, 'end2end/artifacts/server-year.log'));
  server.stdout.pipe(log, { end: false });
  server.stderr.pipe(log, { end: false });
  const stop = async () => {
    const gone = once(server, 'exit');
    if (server.exitCode === null && server.kill('SIGTERM')) await gone;
    log.end();
    await rm(data, { recursive: true, force: true });
  };
  for (const until = Date.now() + 120_000; Date.now() < until; await sleep(200)) {
    if (server.exitCode !== null) break;
    const answer = await fetch(`${address}/healthz`).catch(() => undefined);
    if (answer?.ok) return { address, email, password, data, stop };
  }
  await stop();
  throw new Error('the year is not served; see end2end/artifacts/server-year.log');
}

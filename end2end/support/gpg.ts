// Decrypts with the real GnuPG, in a key ring of its own.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What `gpg --decrypt` makes of the message; throws where it refuses. */
export async function runGpgDecrypt(armored: string, privateKey: string): Promise<string> {
  // Short: the agent's socket lies in it, and a socket's path has 108 bytes.
  const home = await mkdtemp(join(tmpdir(), 'gpg-'));
  try {
    await gpg(home, ['--import'], privateKey);
    return await gpg(home, ['--decrypt'], armored);
  } finally {
    await promisify(execFile)('gpgconf', ['--homedir', home, '--kill', 'all']).catch(() => {});
    await rm(home, { recursive: true, force: true });
  }
}

function gpg(home: string, action: string[], input: string): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn('gpg', ['--homedir', home, '--batch', '--no-tty', ...action]);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    child.stdin.on('error', () => {});
    child.on('error', failed);
    child.on('close', (code) =>
      code === 0 ? done(out) : failed(new Error(`gpg ${action[0]}: ${err}`)),
    );
    child.stdin.end(input);
  });
}

// Decrypts with the real GnuPG, in a key ring of its own.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export type Decrypted = {
  text: string;
  /** The fingerprint of the primary key whose valid signature the message has. */
  signedBy: string | undefined;
};

/** What `gpg --decrypt` makes of the message; throws where it does not exit with 0. */
export async function decrypt(
  message: string,
  ownersPrivateKey: string,
  platformsPublicKey: string,
): Promise<Decrypted> {
  // Short: the agent's socket lies in it, and a socket's path has 108 bytes.
  const home = await mkdtemp(join(tmpdir(), 'gpg-'));
  try {
    await gpg(home, ['--import'], ownersPrivateKey);
    await gpg(home, ['--import'], platformsPublicKey);
    const file = join(home, 'message.asc');
    await writeFile(file, message);
    const { out, status } = await gpg(home, ['--decrypt', file]);
    return { text: out, signedBy: /^\[GNUPG:\] VALIDSIG .* ([0-9A-F]{40})$/m.exec(status)?.[1] };
  } finally {
    await promisify(execFile)('gpgconf', ['--homedir', home, '--kill', 'all']).catch(() => {});
    await rm(home, { recursive: true, force: true });
  }
}

/** The public half of a private key, as its holder would export it. */
export async function publicHalf(privateKey: string): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'gpg-'));
  try {
    await gpg(home, ['--import'], privateKey);
    return (await gpg(home, ['--armor', '--export'])).out;
  } finally {
    await promisify(execFile)('gpgconf', ['--homedir', home, '--kill', 'all']).catch(() => {});
    await rm(home, { recursive: true, force: true });
  }
}

function gpg(home: string, action: string[], input = ''): Promise<{ out: string; status: string }> {
  return new Promise((done, failed) => {
    const child = spawn('gpg', ['--homedir', home, '--batch', '--no-tty', '--status-fd', '2', ...action]);
    let out = '';
    let status = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (status += chunk));
    child.stdin.on('error', () => {});
    child.on('error', failed);
    child.on('close', (code) =>
      code === 0 ? done({ out, status }) : failed(new Error(`gpg ${action[0]}: ${status}`)),
    );
    child.stdin.end(input);
  });
}

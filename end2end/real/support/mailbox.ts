// The Owner's side: a key ring of GnuPG, and librnp, the library with which Thunderbird decrypts.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Stack, call } from './programs.ts';

export class Owner {
  #gnupg: string;
  #rnp: string;
  address: string;
  publicKey = '';

  private constructor(folder: string, address: string) {
    this.#gnupg = join(folder, 'g');
    this.#rnp = join(folder, 'r');
    this.address = address;
  }

  /** An Owner who has just made a key with GnuPG, and has it in Thunderbird's library, too. */
  static async make(stack: Stack, address: string): Promise<Owner> {
    const folder = await stack.folder('ow-');
    const owner = new Owner(folder, address);
    await mkdir(owner.#gnupg, { mode: 0o700 });
    await mkdir(owner.#rnp, { mode: 0o700 });
    stack.later(() => call('gpgconf', ['--homedir', owner.#gnupg, '--kill', 'all']));
    await owner.gpg('--passphrase', '', '--quick-generate-key', `Zoë Zephyr <${address}>`, 'default', 'default', '2y');
    owner.publicKey = await owner.gpg('--armor', '--export', address);
    const secret = join(folder, 'secret.asc');
    await writeFile(secret, await owner.gpg('--passphrase', '', '--armor', '--export-secret-keys', address), { mode: 0o600 });
    await call('rnpkeys', ['--homedir', owner.#rnp, '--import-keys', secret]);
    return owner;
  }

  gpg(...args: string[]): Promise<string> {
    return call('gpg', ['--homedir', this.#gnupg, '--batch', '--no-tty', '--pinentry-mode', 'loopback', ...args]);
  }

  /** A text that the key on file signs. */
  async sign(text: string): Promise<string> {
    const file = join(this.#gnupg, 'said.txt');
    await writeFile(file, text);
    return this.gpg('--passphrase', '', '--local-user', this.address, '--output', '-', '--clearsign', file);
  }

  /** Follows the one command of the mail, with the key that the platform serves. */
  async trust(key: string) {
    const file = join(this.#gnupg, 'platform.asc');
    await writeFile(file, key);
    await this.gpg('--import', file);
    await call('rnpkeys', ['--homedir', this.#rnp, '--import-keys', file]);
  }

  /** `gpg --decrypt` of the saved mail; it has to exit with 0, so the signature is good. */
  async decrypt(mail: string): Promise<string> {
    const file = join(this.#gnupg, 'saved.eml');
    await writeFile(file, mail);
    return this.gpg('--decrypt', file);
  }

  /** The same by librnp, of the armored part. */
  async decryptAsThunderbird(mail: string): Promise<string> {
    const armor = /-----BEGIN PGP MESSAGE-----[^]*?-----END PGP MESSAGE-----/.exec(mail)![0];
    const file = join(this.#rnp, 'message.asc');
    await writeFile(file, `${armor}\n`);
    return call('rnp', ['--homedir', this.#rnp, '--decrypt', file, '--output', '-']);
  }
}

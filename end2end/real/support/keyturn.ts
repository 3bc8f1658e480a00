// `keyturn serve` as an operator sets it up: keys, settings in a file, staff, orgs, credentials.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Stack, call, keyturn, listening, root, run } from './programs.ts';

export class Deployment {
  readonly folder: string;
  readonly #config: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#config = join(folder, 'keyturn.toml');
  }

  static async prepare(stack: Stack, settings: Record<string, string | number>): Promise<Deployment> {
    const folder = await stack.folder('kt-');
    const deployment = new Deployment(folder);
    const all = {
      data: join(folder, 'data'),
      keys_file: join(folder, 'keys.json'),
      log_origin: 'keyturn.example',
      pkg: join(root, 'target/site/pkg'),
      ...settings,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
    await writeFile(deployment.#config, `${lines.join('\n')}\n`);
    await call(keyturn, ['keys', 'new', all.keys_file, '--user-id', 'Keyturn <keyturn@platform.example>']);
    return deployment;
  }

  /** What `serve --check` says of the settings and of what stands behind them. */
  check(): Promise<string> {
    return call(keyturn, ['serve', '--config', this.#config, '--check']);
  }

  async staff(email: string, name: string, role: string, password: string) {
    const who = ['--email', email, '--name', name, '--role', role];
    await call(keyturn, ['staff', '--config', this.#config, 'add', ...who], {}, password);
  }

  async importOrgs(document: object): Promise<string> {
    const file = join(this.folder, 'orgs.json');
    await writeFile(file, JSON.stringify(document));
    return call(keyturn, ['org', '--config', this.#config, 'import', file]);
  }

  async credential(org: string, member: string): Promise<string> {
    return (await call(keyturn, ['org', '--config', this.#config, 'credential', '--org', org, '--member', member])).trim();
  }

  /** Every row of every log, held against its tree and against this key of the logs. */
  verify(key: string): Promise<string> {
    return call(keyturn, ['verify', '--data', join(this.folder, 'data'), '--key', key]);
  }

  async serve(stack: Stack, port: number): Promise<string> {
    const log = join(this.folder, 'log');
    const server = run(stack, keyturn, ['serve', '--config', this.#config], { log });
    await listening(port, server, log);
    return log;
  }
}

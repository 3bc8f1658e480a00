// Postfix, with TLS, for one domain whose mail goes into a Maildir. `gone@` it has no mailbox.
import { chmod, chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Authority } from './authority.ts';
import { type Stack, call, eventually, freePort } from './programs.ts';

export type Postfix = {
  port: number;
  version: string;
  /** The first mail, as it lies in the mailbox, whose subject has this in it. */
  mail: (subject: string) => Promise<string>;
};

export async function postfix(stack: Stack, authority: Authority, domain: string): Promise<Postfix> {
  const folder = await stack.folder('pf-');
  await chmod(folder, 0o755);
  const id = async (flag: string, name: string) => Number(await call('id', [flag, name]));
  const [user, group] = [await id('-u', 'postfix'), await id('-g', 'postfix')];
  const { certificate, key } = await authority.issue('postfix');
  const port = await freePort();
  const at = (name: string) => join(folder, name);
  await mkdir(at('etc'));
  await mkdir(at('spool'));
  for (const own of ['data', 'mail']) {
    await mkdir(at(own));
    await chown(at(own), user, group);
  }
  await writeFile(
    at('etc/main.cf'),
    [
      'compatibility_level = 3.6',
      `queue_directory = ${folder}/spool`,
      `data_directory = ${folder}/data`,
      'myhostname = mail.example',
      'mydestination =',
      'inet_interfaces = 127.0.0.1',
      'inet_protocols = ipv4',
      'mynetworks = 127.0.0.0/8',
      `virtual_mailbox_domains = ${domain}`,
      `virtual_mailbox_base = ${folder}/mail`,
      'virtual_mailbox_maps = static:all/',
      `virtual_uid_maps = static:${user}`,
      `virtual_gid_maps = static:${group}`,
      `virtual_minimum_uid = 1`,
      'smtpd_tls_security_level = encrypt',
      `smtpd_tls_cert_file = ${certificate}`,
      `smtpd_tls_key_file = ${key}`,
      'smtpd_helo_required = yes',
      'smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname',
      `smtpd_recipient_restrictions = check_recipient_access inline:{{gone@${domain} = 550 5.1.1 No such mailbox here}}, permit_mynetworks, reject`,
      `maillog_file = ${folder}/maillog`,
      `maillog_file_prefixes = ${folder}`,
      'alias_maps =',
      'alias_database =',
      '',
    ].join('\n'),
  );
  // Debian's services, without jails, on our port.
  const master = (await readFile('/usr/share/postfix/master.cf.dist', 'utf8'))
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => {
      const words = line.split(/\s+/);
      if (line.startsWith(' ') || words.length < 8) return line;
      words[4] = 'n';
      if (words[0] === 'smtp' && words[1] === 'inet') words[0] = `127.0.0.1:${port}`;
      return words.join(' ');
    });
  await writeFile(at('etc/master.cf'), `${master.join('\n')}\n`);
  const here = ['-c', at('etc')];
  // It makes its own folders, and tells of rights that it put in order.
  await call('postfix', [...here, 'start']);
  stack.later(() => call('postfix', [...here, 'stop']));
  const version = (await call('postconf', [...here, '-h', 'mail_version'])).trim();
  const inbox = at('mail/all/new');
  const mail = (subject: string) =>
    eventually(`a mail about ${subject}`, async () => {
      for (const name of await readdir(inbox).catch(() => [])) {
        const text = await readFile(join(inbox, name), 'utf8');
        const head = text.slice(0, text.indexOf('\n\n')).replaceAll('\n ', ' ');
        if (/^subject:(.*)$/im.exec(head)?.[1].includes(subject)) return text;
      }
      return undefined;
    });
  return { port, version, mail };
}

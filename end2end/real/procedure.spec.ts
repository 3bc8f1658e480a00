// A rotation of each type, carried to its end with nothing of our own on the other side: the
// console behind nginx in Firefox, tokens of an OpenBao, mail through Postfix to a mailbox that
// GnuPG and Thunderbird's library open, rows in rsyslog and syslog-ng.
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { Webhook } from 'standardwebhooks';
import { Authority } from './support/authority.ts';
import { firefox, handedOff, press, signIn, until } from './support/console.ts';
import { Deployment } from './support/keyturn.ts';
import { Owner } from './support/mailbox.ts';
import { nginx } from './support/nginx.ts';
import { openBao } from './support/openbao.ts';
import { postfix } from './support/postfix.ts';
import { Stack, call, eventually, freePort, holds } from './support/programs.ts';
import { syslog } from './support/syslog.ts';

const intake = 'an-intake-token-of-thirty-two-characters-or-more';
const password = 'correct horse battery staple of Ada';
const tickets = {
  'NOV-5001': { type: 'webhook_signing_key', id: 'whk_orders' },
  'NOV-5002': { type: 'vault_token', id: 'vtk_importer' },
  'NOV-5003': { type: 'mtls_certificate', id: 'gw_plant1' },
};

test('each secret is rotated with real programs on every other side', async () => {
  const stack = new Stack();
  try {
    await carry(stack);
  } finally {
    await stack.end();
  }
});

async function carry(stack: Stack) {
  const authority = await Authority.make(await stack.folder('ca-'));
  const vault = await openBao(stack, authority);
  const mail = await postfix(stack, authority, 'zephyr.example');
  const logs = await syslog(stack, authority);
  const owner = await Owner.make(stack, 'zoe@zephyr.example');
  const old = JSON.parse(
    await vault.admin('token', 'create', '-orphan', '-policy=default', '-policy=claims-import', '-ttl=48h', '-format=json'),
  ).auth;

  const [port, inside, gateways] = [await freePort(), await freePort(), await freePort()];
  const base = `https://127.0.0.1:${port}`;
  const client = await authority.issue('keyturn');
  const secretId = join(authority.folder, 'secret-id');
  await writeFile(secretId, vault.secretId, { mode: 0o600 });
  const deployment = await Deployment.prepare(stack, {
    base_url: base,
    listen: `127.0.0.1:${inside}`,
    ca_file: authority.certificate,
    smtp_url: `smtp://127.0.0.1:${mail.port}?tls=required`,
    mail_from: 'Keyturn <keyturn@platform.example>',
    intake_token: intake,
    client_ip_header: 'X-Forwarded-For',
    trusted_proxies: '127.0.0.1',
    vault_addr: vault.address,
    vault_namespace: vault.namespace,
    vault_approle_role_id: vault.roleId,
    vault_approle_secret_id_file: secretId,
    vault_token_role: 'keyturn',
    vault_ca_file: authority.certificate,
    vault_allowed_policies: 'default,claims-import',
    forward_syslog: logs.address,
    forward_ca_file: authority.certificate,
    forward_client_cert_file: client.certificate,
    forward_client_key_file: client.key,
    gateway_listen: `127.0.0.1:${gateways}`,
    gateway_names: '127.0.0.1,localhost',
  });
  await deployment.staff('ada@platform.example', 'Ada Okafor', 'platform_admin', password);
  await deployment.importOrgs({
    orgs: [
      {
        slug: 'zephyr',
        name: 'Zephyr Ltd',
        owner: { email: owner.address, since: '2024-02-01T00:00:00Z', address: owner.address },
        members: [{ email: owner.address, name: 'Zoë Zephyr', role: 'owner', standing: 'locked_out' }],
        runbook: { channel: 'pgp', pgp_key: owner.publicKey },
        webhooks: [{ id: 'whk_orders', label: 'Orders', target: 'https://hooks.zephyr.example/in', key: `whsec_${Buffer.alloc(32, 7).toString('base64')}` }],
        vault_tokens: [{ id: 'vtk_importer', label: 'Importer', pinned_to: 'Abe', accessor: old.accessor }],
        gateways: [{ id: 'gw_plant1', label: 'Plant 1', expires_at: '2026-01-01T00:00:00Z' }],
      },
    ],
  });
  expect(await deployment.check()).toContain('are good');
  await deployment.serve(stack, inside);
  const proxy = await nginx(stack, authority, port, inside);

  const credential = await deployment.credential('zephyr', owner.address);
  const api = async (method: string, path: string, token: string, body: object) => {
    const answer = await fetch(`http://127.0.0.1:${inside}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(answer.status, `${path}: ${await answer.clone().text()}`).toBeLessThan(300);
  };
  for (const [number, secret] of Object.entries(tickets)) {
    await api('POST', '/tickets', intake, {
      number,
      org: 'zephyr',
      subject: `The ${secret.type} is stuck`,
      requester: { name: 'Zoë Zephyr', email: owner.address },
      authenticated: { how: 'single sign-on of the customer', at: new Date(Date.now() - 60_000).toISOString() },
      secret,
      message: 'Nobody here can rotate it any more.',
    });
  }
  await api('PUT', '/org/consent', credential, { allow_platform_impersonation: true, until_withdrawn: true });

  const { page, version } = await firefox(stack);
  await signIn(page, base, 'ada@platform.example', password);
  for (const number of Object.keys(tickets)) {
    await handedOff(page, base, number);
    await press(page, 'See the proof');
    await until(page, 'Complete');
  }

  // The Owner's side.
  const key = await fetch(`http://127.0.0.1:${inside}/.well-known/keyturn-openpgp-key.asc`);
  expect(key.status).toBe(200);
  await owner.trust(await key.text());
  const read = async (number: string) => {
    const saved = await mail.mail(`[${number}] Your`);
    const text = await owner.decrypt(saved);
    expect(await owner.decryptAsThunderbird(saved)).toBe(text);
    return text;
  };

  const webhook = /whsec_[A-Za-z0-9+/=]+/.exec(await read('NOV-5001'))![0];
  const [now, body] = [new Date(), '{"type":"order.created"}'];
  const signature = new Webhook(webhook).sign('msg_1', now, body);
  const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': `${Math.floor(now.getTime() / 1000)}`, 'webhook-signature': signature };
  expect(new Webhook(webhook).verify(body, headers)).toBeTruthy();

  const token = /\b(?:hvs|s)\.[\w.-]{20,}/.exec(await read('NOV-5002'))![0];
  const is = await vault.lookUp(token);
  expect(is.status).toBe(200);
  expect(is.data.policies).toEqual(['claims-import', 'default']);
  expect(is.data.orphan).toBe(true);
  expect((await vault.lookUp(old.client_token)).status).toBe(403);

  const bundle = await read('NOV-5003');
  const identity = join(authority.folder, 'bundle.pem');
  await writeFile(identity, bundle, { mode: 0o600 });
  const chain = bundle.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g)!;
  const [leaf, issuer] = chain.map((pem) => new X509Certificate(pem));
  expect(leaf.verify(issuer.publicKey)).toBe(true);
  const trust = join(authority.folder, 'gateways.pem');
  await writeFile(trust, chain[1]);
  const est = await call('curl', ['-sS', '--fail', '--cacert', trust, '--cert', identity, '--key', identity, `https://127.0.0.1:${gateways}/.well-known/est/cacerts`]);
  const authorities = join(authority.folder, 'cacerts.p7');
  await writeFile(authorities, Buffer.from(est, 'base64'));
  const shown = await call('openssl', ['pkcs7', '-inform', 'DER', '-in', authorities, '-print_certs']);
  expect(shown.replaceAll('\n', '')).toContain(chain[1].replaceAll('\n', ''));

  // Both logs hold, and the SIEM has each of their rows, as it was hashed.
  const pinned = await (await fetch(`http://127.0.0.1:${inside}/.well-known/keyturn-log-key`)).text();
  expect(await deployment.verify(pinned.split('\n')[0])).not.toContain('FAULT');
  const answer = await fetch(`http://127.0.0.1:${inside}/api/v1/org/audit-log?limit=200`, { headers: { Authorization: `Bearer ${credential}` } });
  const rows: string[] = (await answer.json()).rows;
  expect(rows.filter((row) => JSON.parse(row).action.endsWith('.rotated')).length).toBe(3);
  for (const [name, receiver] of [['rsyslog', logs.rsyslog], ['syslog-ng', logs.syslogNg]] as const) {
    await eventually(`every row of the org in ${name}`, async () => {
      const there = new Set(await receiver.rows());
      return rows.every((row) => there.has(row)) || undefined;
    });
  }
  const server = await readFile(join(deployment.folder, 'log'), 'utf8');
  for (const secret of [webhook, token, password, credential]) {
    expect(server).not.toContain(secret);
    expect((await logs.rsyslog.rows()).join('\n')).not.toContain(secret);
  }

  const tried = 'a webhook key, a vault token and a gateway certificate, from the ticket to the proof';
  const gnupg = /gpg \(GnuPG\) ([\d.]+)/.exec(await call('gpg', ['--version']))![1];
  const rnp = /rnp ([\d.]+)/i.exec(await call('rnp', ['--version']))![1];
  await holds('The whole procedure', 'Firefox ESR', version, tried, 'sign-in, three procedures and their proofs, behind TLS of nginx');
  await holds('The whole procedure', 'nginx', proxy, tried, 'with proxy_pass alone');
  await holds('The whole procedure', 'OpenBao', vault.version, tried, 'TLS, AppRole, namespace, token role: the new token works, the old one is dead');
  await holds('The whole procedure', 'Postfix', mail.version, tried, 'TLS by a private authority; each mail in the mailbox');
  await holds('The whole procedure', 'GnuPG', gnupg, tried, 'gpg --decrypt of each saved mail: exit 0, good signature');
  await holds('The whole procedure', "RNP (Thunderbird's library)", rnp, tried, 'reads the same from each mail');
  await holds('The whole procedure', 'rsyslog', logs.rsyslog.version, tried, 'every row, over TLS with a client certificate');
  await holds('The whole procedure', 'syslog-ng', logs.syslogNg.version, tried, 'every row, passed on by rsyslog');
  await holds('The whole procedure', 'curl', (await call('curl', ['--version'])).split(' ')[1], tried, 'EST cacerts with the certificate of the bundle');
}

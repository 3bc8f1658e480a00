// A mail server that will never take a handoff: said on the page in its own words, and put right.
import { expect, test } from '@playwright/test';
import { Authority } from './support/authority.ts';
import { firefox, handedOff, picture, press, signIn, until } from './support/console.ts';
import { Deployment } from './support/keyturn.ts';
import { Owner } from './support/mailbox.ts';
import { postfix } from './support/postfix.ts';
import { Stack, freePort, holds } from './support/programs.ts';

const intake = 'an-intake-token-of-thirty-two-characters-or-more';
const password = 'correct horse battery staple of Ada';
const number = 'NOV-5001';

test('what a mail server refuses for good is said, mended, and sent again', async () => {
  const stack = new Stack();
  try {
    await carry(stack);
  } finally {
    await stack.end();
  }
});

async function carry(stack: Stack) {
  const authority = await Authority.make(await stack.folder('ca-'));
  const mail = await postfix(stack, authority, 'zephyr.example');
  const owner = await Owner.make(stack, 'zoe@zephyr.example');
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const deployment = await Deployment.prepare(stack, {
    base_url: base,
    listen: `127.0.0.1:${port}`,
    ca_file: authority.certificate,
    smtp_url: `smtp://127.0.0.1:${mail.port}?tls=required`,
    mail_from: 'Keyturn <keyturn@platform.example>',
    intake_token: intake,
  });
  await deployment.staff('ada@platform.example', 'Ada Okafor', 'platform_admin', password);
  await deployment.staff('ben@platform.example', 'Ben Field', 'platform_admin', password);
  const org = (address: string) => ({
    orgs: [
      {
        slug: 'zephyr',
        name: 'Zephyr Ltd',
        owner: { email: owner.address, since: '2024-02-01T00:00:00Z', address },
        members: [{ email: owner.address, name: 'Zoë Zephyr', role: 'owner', standing: 'locked_out' }],
        runbook: { channel: 'pgp', pgp_key: owner.publicKey },
        webhooks: [{ id: 'whk_orders', label: 'Orders', target: 'https://hooks.zephyr.example/in', key: `whsec_${Buffer.alloc(32, 7).toString('base64')}` }],
      },
    ],
  });
  await deployment.importOrgs(org('gone@zephyr.example'));
  await deployment.serve(stack, port);
  const credential = await deployment.credential('zephyr', owner.address);
  const api = async (method: string, path: string, token: string, body: object) => {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
    const answer = await fetch(`${base}/api/v1${path}`, { method, headers, body: JSON.stringify(body) });
    expect(answer.status, `${path}: ${await answer.clone().text()}`).toBeLessThan(300);
  };
  await api('POST', '/tickets', intake, {
    number,
    org: 'zephyr',
    subject: 'The webhook key is stuck',
    requester: { name: 'Zoë Zephyr', email: owner.address },
    authenticated: { how: 'single sign-on of the customer', at: new Date(Date.now() - 60_000).toISOString() },
    secret: { type: 'webhook_signing_key', id: 'whk_orders' },
    message: 'Nobody here can rotate it any more.',
  });
  await api('PUT', '/org/consent', credential, { allow_platform_impersonation: true, ticket_ref: number });

  const { page } = await firefox(stack);
  await signIn(page, base, 'ada@platform.example', password);
  await handedOff(page, base, number);

  const shows = async (path: string, text: string) => {
    await expect
      .poll(async () => (await page.goto(`${base}${path}`), page.evaluate(() => document.body.innerText)), { timeout: 20_000 })
      .toContain(text);
  };
  await shows(`/tickets/${number}`, '550 5.1.1');
  await until(page, 'No such mailbox here');
  await picture(page, 'undelivered-ticket');
  await shows('/deliveries', 'No such mailbox here');
  await picture(page, 'undelivered-deliveries');
  await shows('/overview', 'Undelivered');
  await picture(page, 'undelivered-overview');

  // The address is mended, and the Owner gets what was made for the key on file.
  // No link reaches them where they are on file, so they agree with the key on file.
  await deployment.importOrgs(org(owner.address));
  await page.goto(`${base}/orgs/zephyr`);
  const statement = await page.evaluate(() => document.querySelector('#owner-key q')!.textContent!);
  const signed = await owner.sign(`${statement}\n`);
  await page.evaluate((signed) => {
    document.querySelector<HTMLDetailsElement>('#owner-key details')!.open = true;
    document.querySelector<HTMLTextAreaElement>('#owner-key textarea[name=signed]')!.value = signed;
  }, signed);
  await press(page, 'Check the signature');
  await until(page, 'by a signature of the key on file');
  await picture(page, 'address-to-approve');
  // Whoever approves what the command line asked for stays away from what is handed over.
  const second = (await firefox(stack)).page;
  await signIn(second, base, 'ben@platform.example', password);
  await second.goto(`${base}/orgs/zephyr`);
  await press(second, 'Approve the change');
  await until(second, 'The new address counts');
  await page.goto(`${base}/tickets/${number}`);
  await press(page, 'Put the delivery right');
  await picture(page, 'undelivered-rotation');
  await press(page, 'Send again');
  const saved = await mail.mail(`[${number}] Your new secret`);
  await owner.trust(await (await fetch(`${base}/.well-known/keyturn-openpgp-key.asc`)).text());
  expect(await owner.decrypt(saved)).toMatch(/whsec_[A-Za-z0-9+/=]+/);
  await shows(`/tickets/${number}`, 'sent');
  await picture(page, 'sent-again-ticket');
  await holds('Mail', 'Postfix', mail.version, '550 5.1.1 for the Owner’s address', 'said on the page in its words; after mending it is sent again and opened with gpg');
}

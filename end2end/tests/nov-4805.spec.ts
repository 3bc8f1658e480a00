// A gateway whose certificate has expired: it comes back with the bundle of the handoff.
import { encryptedMessage, openMail } from '../support/customer.ts';
import { gatewayCard, knock, says, serialOf, shows } from '../support/gateways.ts';
import { decrypt } from '../support/gpg.ts';
import { look } from '../support/looks.ts';
import { handOff, rotate, start } from '../support/procedure.ts';
import { admins, expect, signIn, test } from '../support/test.ts';
import { Watch } from '../support/watch.ts';

const gateway = 'gw_line3d0w8k2';

test('NOV-4805: the gateway that was down comes back with the handed-over bundle', async ({ page, context, demo }) => {
  const main = page.locator('main');
  const facts = page.getByRole('region', { name: 'Gateway', exact: true });
  const watch = new Watch(context, demo.address);
  const card = await gatewayCard(context, demo, gateway);
  await says(card, 'refused: the certificate has expired');
  const old = await serialOf(card);
  expect(await knock(demo, `${gateway}/identity.pem`)).toContain('certificate expired');

  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets/NOV-4805');
  await expect(facts).toContainText('Offline, certificate expired');
  await look(page, 'gateway-expired');
  await start(page, 'NOV-4805');
  await expect(main).toContainText('key and certificate are made for the handoff');
  await rotate(page);
  await look(page, 'gateway-expired-hand-off');
  await handOff(page);
  await expect(main.getByRole('heading', { name: 'Complete' })).toBeVisible();
  await expect(facts).toContainText('never seen');

  const mail = await openMail(context, demo, /NOV-4805\] Your gateway's new certificate/);
  const owner = demo.owner_pgp.find((key) => key.org === 'quarrylane')!;
  const message = await encryptedMessage(mail);
  const { text, signedBy } = await decrypt(message, owner.private_key, demo.platform_pgp.public_key);
  expect(signedBy).toBe(demo.platform_pgp.fingerprint);
  expect(text).toContain('-----BEGIN PRIVATE KEY-----');
  expect(text.match(/-----BEGIN CERTIFICATE-----/g)).toHaveLength(2);

  await mail.getByRole('button', { name: 'Decrypt with the Owner' }).click();
  await expect(mail.getByText('The signature is valid.')).toBeVisible();
  await mail.getByRole('button', { name: 'Install the bundle and restart' }).click();
  await expect(mail).toHaveURL(/\/gateways#/);

  await says(card, 'Running');
  expect(await serialOf(card)).not.toBe(old);
  await shows(page, facts, 'Online');
  await expect(facts).toContainText('Revoked, superseded');
  await look(page, 'gateway-back');
  expect(await knock(demo, `${gateway}/identity.pem`)).toContain('BEGIN X509 CRL');
  await page.goto('/audit?ticket=NOV-4805');
  await expect(main).toContainText('mtls_certificate.connected');

  // No page of the console, at any time, had the key in it.
  expect(await watch.pages()).toBeGreaterThan(5);
  expect(await watch.holding('BEGIN PRIVATE KEY')).toEqual([]);
  const body = /-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/=]{20})/.exec(text)![1];
  expect(await watch.holding(body)).toEqual([]);
});

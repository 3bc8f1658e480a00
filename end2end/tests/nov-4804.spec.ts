// A gateway that is online: it is told to re-enrol, makes its own new key, and loses no beat.
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openMail } from '../support/customer.ts';
import { beatsOf, gatewayCard, knock, says, serialOf, shows } from '../support/gateways.ts';
import { look } from '../support/looks.ts';
import { handOff, start } from '../support/procedure.ts';
import { admins, expect, flash, signIn, test } from '../support/test.ts';

const gateway = 'gw_bergen2h7q9x';

test('NOV-4804: the gateway changes its serial within a heartbeat, without losing a beat', async ({ page, context, demo }) => {
  const main = page.locator('main');
  const facts = page.getByRole('region', { name: 'Gateway', exact: true });
  const card = await gatewayCard(context, demo, gateway);
  await says(card, 'Running');
  const old = await serialOf(card);
  const folder = join(demo.data, 'gateways', gateway);
  await copyFile(join(folder, 'identity.pem'), join(folder, 'old.pem'));
  expect(await knock(demo, `${gateway}/old.pem`)).toContain('BEGIN X509 CRL');

  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets/NOV-4804');
  await shows(page, facts, 'Online');
  await expect(facts).toContainText('2 days left: replace it this week');
  await look(page, 'gateway-1-online');
  await start(page, 'NOV-4804');
  await expect(main).toContainText('it is told at its next heartbeat, makes its own new key');
  await page.getByRole('button', { name: 'Rotate now' }).click();
  await expect(flash(page)).toContainText('The gateway is told to re-enrol');
  await expect(main).toContainText('there is nothing to hand off but the notice');

  await says(card, 'Serial before');
  const fresh = await serialOf(card);
  expect(fresh).not.toBe(old);
  await expect(card).toContainText(old);
  const beats = await beatsOf(card);

  await shows(page, facts, 'Revoked, superseded');
  await expect(facts).toContainText('89 days left');
  await look(page, 'gateway-2-hand-off');
  await handOff(page);
  await expect(main.getByRole('heading', { name: 'Complete' })).toBeVisible();
  await look(page, 'gateway-3-complete');

  const mail = await openMail(context, demo, /NOV-4804\] Your gateway re-enrols by itself/);
  await mail.getByRole('button', { name: 'Decrypt with the Owner' }).click();
  await expect(mail.getByText('The signature is valid.')).toBeVisible();
  await expect(mail.locator('main')).toContainText('There is nothing to install');
  await expect(mail.getByRole('button', { name: /Install/ })).toHaveCount(0);

  // Every two seconds since, each with the new certificate.
  await expect(async () => {
    await card.page().reload();
    expect(await beatsOf(card)).toBeGreaterThan(beats + 2);
  }).toPass({ timeout: 20_000 });
  await expect(card).toContainText('Running');
  expect(await knock(demo, `${gateway}/old.pem`)).toContain('certificate revoked');
  expect(await knock(demo, `${gateway}/identity.pem`)).toContain('BEGIN X509 CRL');

  await page.goto('/audit?ticket=NOV-4804');
  await expect(page.locator('main')).toContainText('mtls_certificate.rotated');
  await expect(page.locator('main')).toContainText('mtls_certificate.reenrolled');
  await page.goto('/orgs/fjordline');
  await look(page, 'gateway-org');
  await card.page().goto(`${demo.customer_side}/gateways`);
  await look(card.page(), 'gateway-customer');
});

// The whole of NOV-4801, from look-up to a proven trail. Run twice: scripts off, and islands on.
import { runGpgDecrypt } from '../support/gpg.ts';
import { admins, expect, signIn, test } from '../support/test.ts';

const checks = [
  'Ticket open',
  'Requester authenticated',
  'Requester is Owner',
  'Owner reachable',
  'Self-service unavailable',
  'Consent',
  'Secret known',
  'Handoff possible',
  'Nothing else open',
];

test('a stuck webhook signing key is replaced, handed over and proven', async ({ page, demo }) => {
  const seen: string[] = [];
  page.on('response', async (response) => {
    if (response.url().startsWith(demo.address)) seen.push(await response.text().catch(() => ''));
  });
  const primary = (name: string) => page.getByRole('button', { name });

  await test.step('look the ticket up', async () => {
    await signIn(page, admins(demo)[0]);
    const lookUp = page.getByRole('searchbox').first();
    await lookUp.fill('NOV-4801');
    await lookUp.press('Enter');
    await expect(page).toHaveURL(/\/tickets\/NOV-4801$/);
  });

  await test.step('every check passes', async () => {
    const eligibility = page.getByRole('region', { name: 'Eligibility' });
    for (const check of checks) await expect(eligibility).toContainText(check);
    await expect(eligibility.getByText('failed')).toHaveCount(0);
  });

  await test.step('start', async () => {
    await expect(page.locator('main')).toContainText('rotate stuck webhook_signing_key per ticket NOV-4801');
    await primary('Start impersonation').click();
    await expect(primary('End now').first()).toBeVisible();
  });

  await test.step('rotate', async () => {
    await primary('Rotate').click();
    await expect(page.locator('main')).toContainText('webhook_signing_key.rotated');
  });

  await test.step('hand off and end', async () => {
    await primary('Hand off and end').click();
    await expect(primary('End now')).toHaveCount(0);
    await expect(page.locator('main')).toContainText('impersonation.ended');
  });

  const secret = await test.step('the Owner decrypts the message with gpg', async () => {
    const mailbox = await page.context().newPage();
    await mailbox.goto(demo.customer_side);
    await mailbox.getByRole('link', { name: /NOV-4801/ }).last().click();
    const mail = await mailbox.locator('body').innerText();
    await mailbox.close();
    const message = /-----BEGIN PGP MESSAGE-----[^]*?-----END PGP MESSAGE-----/.exec(mail)?.[0];
    expect(message, 'an encrypted message in the mail').toBeDefined();

    const clear = await runGpgDecrypt(message!, demo.owner_pgp[0].private_key);
    const key = /whsec_[A-Za-z0-9+/]+=*/.exec(clear)?.[0];
    expect(key, 'a signing key in the message').toBeDefined();
    expect(Buffer.from(key!.slice('whsec_'.length), 'base64')).toHaveLength(32);
    return key!;
  });

  await test.step('the receiver accepts a test event, with both keys', async () => {
    await primary('Send a test event').click();
    await expect(page.locator('main')).toContainText('new key: accepted');
    await expect(page.locator('main')).toContainText('old key: accepted');
  });

  await test.step('the trail is complete', async () => {
    await page.goto('/audit?ticket=NOV-4801');
    for (const action of [
      'platform.impersonation_started',
      'impersonation.started',
      'webhook_signing_key.rotated',
      'platform.impersonation_ended',
      'impersonation.ended',
    ]) {
      await expect(page.getByText(action, { exact: true }).first()).toBeVisible();
    }
    await expect(page.locator('main')).toContainText('complete');
  });

  expect(seen.filter((body) => body.includes(secret)), 'answers that hold the new key').toEqual([]);
});

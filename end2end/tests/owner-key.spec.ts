// Another key for the Owner: it waits for a day, the Owner hears of it and can object.
import { openMail } from '../support/customer.ts';
import { publicHalf } from '../support/gpg.ts';
import { look } from '../support/looks.ts';
import { admins, auditor, expect, flash, signIn, test } from '../support/test.ts';

const org = 'lumenstreet';

test('the Owner’s key is replaced after a day, unless the Owner objects', async ({ page, context, browser, demo }) => {
  const panel = page.getByRole('region', { name: 'Owner\'s key' });
  const spare = demo.owner_pgp.find((key) => key.org === 'brightwater')!;
  const onFile = demo.owner_pgp.find((key) => key.org === org)!;
  const fours = (fingerprint: string) => `Fingerprint ${fingerprint.match(/.{4}/g)!.join(' ')}`;
  await signIn(page, admins(demo)[0]);

  await test.step('the refused ticket leads to where the key is replaced', async () => {
    await page.goto('/tickets/NOV-4813');
    await page.getByRole('link', { name: 'Replace the key on file' }).click();
    await expect(page).toHaveURL(`/orgs/${org}#owner-key`);
  });

  await test.step('what is no good is refused with its reason', async () => {
    await panel.getByText('Put another key on file').click();
    await look(page, 'owner-key-form');
    await page.getByLabel('The Owner’s new public key').fill(spare.private_key);
    await page.getByRole('button', { name: 'Ask for the change' }).click();
    await expect(flash(page)).toContainText('this is a secret key, and nothing of it was kept');
  });

  await test.step('a good one waits, with both fingerprints', async () => {
    await panel.getByText('Put another key on file').click();
    await page.getByLabel('The Owner’s new public key').fill(await publicHalf(spare.private_key));
    await page.getByRole('button', { name: 'Ask for the change' }).click();
    await expect(flash(page)).toContainText('The new key waits');
    for (const { fingerprint } of [onFile, spare]) {
      await expect(panel.getByRole('img', { name: fours(fingerprint) })).toBeVisible();
    }
    await expect(panel).toContainText('Takes effect');
    await expect(panel.getByText('Put another key on file')).toHaveCount(0);
    await look(page, 'owner-key-waiting');
    await page.goto('/tickets/NOV-4813');
    await expect(page.locator('main')).toContainText('Another PGP key of the Owner waits');
    await look(page, 'ticket-key-waiting');
  });

  await test.step('an auditor sees it and can do nothing about it', async () => {
    const reader = await (await browser.newContext({ baseURL: demo.address })).newPage();
    await signIn(reader, auditor(demo));
    await reader.goto(`/orgs/${org}`);
    await expect(reader.getByRole('img', { name: fours(spare.fingerprint) })).toBeVisible();
    await expect(reader.getByRole('button', { name: 'Cancel the change' })).toHaveCount(0);
    await reader.context().close();
  });

  const mail = await openMail(context, demo, /Another OpenPGP key .* object if it is not yours/);
  const link = await mail.getByRole('link', { name: /\/key-change\// }).getAttribute('href');
  const owner = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await owner.goto(link!);
  for (const { fingerprint } of [onFile, spare]) {
    await expect(owner.getByRole('img', { name: fours(fingerprint) })).toBeVisible();
  }
  await owner.getByRole('button', { name: 'I object' }).click();
  await expect(owner.getByRole('heading', { name: 'The key on file stays' })).toBeVisible();
  await expect(owner.getByRole('button')).toHaveCount(0);
  await owner.context().close();

  await page.goto(`/orgs/${org}`);
  await expect(panel).toContainText('The Owner objected to another key');
  await page.goto('/audit?action=owner_key.change_objected');
  await expect(page.getByText('owner_key.change_objected').first()).toBeVisible();

  await test.step('asked for once more, and cancelled', async () => {
    await page.goto(`/orgs/${org}`);
    await panel.getByText('Put another key on file').click();
    await page.getByLabel('The Owner’s new public key').fill(await publicHalf(spare.private_key));
    await page.getByRole('button', { name: 'Ask for the change' }).click();
    await mail.goto(demo.customer_side);
    const again = await openMail(context, demo, /Another OpenPGP key .* object if it is not yours/);
    await again.getByRole('link', { name: /\/key-change\// }).click();
    await look(again, 'key-change');
    await page.getByRole('button', { name: 'Cancel the change' }).click();
    await expect(flash(page)).toContainText('Cancelled');
  });
});

// Another key for the Owner: it waits for the Owner's yes and a second admin, and whoever asked stays away.
import { openMail } from '../support/customer.ts';
import { publicHalf } from '../support/gpg.ts';
import { look } from '../support/looks.ts';
import { admins, auditor, expect, flash, signIn, test } from '../support/test.ts';

const org = 'lumenstreet';

test('the Owner’s key is replaced when the Owner and a second admin agree', async ({ page, context, browser, demo }) => {
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
    await expect(panel).toContainText('Has not answered');
    await expect(panel.getByRole('button', { name: 'Approve the change' })).toHaveCount(0);
    await expect(panel.getByText('Put another key on file')).toHaveCount(0);
    await look(page, 'owner-key-waiting');
    await page.goto('/tickets/NOV-4813');
    await expect(page.locator('main')).toContainText('A change of the Owner’s OpenPGP key waits');
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

  const mail = await openMail(context, demo, /Do you agree\? Another OpenPGP key/);
  const link = await mail.getByRole('link', { name: /\/owner-change\// }).getAttribute('href');
  const owner = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await owner.goto(link!);
  for (const { fingerprint } of [onFile, spare]) {
    await expect(owner.getByRole('img', { name: fours(fingerprint) })).toBeVisible();
  }
  await owner.getByRole('button', { name: 'No, keep what is on file' }).click();
  await expect(owner.getByRole('heading', { name: 'What is on file stays' })).toBeVisible();
  await expect(owner.getByRole('button')).toHaveCount(0);
  await owner.context().close();

  await page.goto(`/orgs/${org}`);
  await expect(panel).toContainText('The Owner objected to another OpenPGP key');
  await page.goto('/audit?action=owner_key.change_objected');
  await expect(page.getByText('owner_key.change_objected').first()).toBeVisible();

  await test.step('asked for once more, and agreed to by both', async () => {
    await page.goto(`/orgs/${org}`);
    await panel.getByText('Put another key on file').click();
    await page.getByLabel('The Owner’s new public key').fill(await publicHalf(spare.private_key));
    await page.getByRole('button', { name: 'Ask for the change' }).click();
    // The one from before is there already.
    await expect(async () => {
      await mail.goto(demo.customer_side);
      await expect(mail.getByRole('link', { name: /Do you agree\?/ })).toHaveCount(2, { timeout: 100 });
    }).toPass({ intervals: [250], timeout: 15_000 });
    const again = await openMail(context, demo, /Do you agree\? Another OpenPGP key/);
    await again.getByRole('link', { name: /\/owner-change\// }).click();
    await look(again, 'owner-change');
    await again.getByRole('button', { name: 'Yes, I agree' }).click();
    await expect(again.getByRole('heading', { name: 'You agreed' })).toBeVisible();
    await look(again, 'owner-change-agreed');
    const second = await (await browser.newContext({ baseURL: demo.address })).newPage();
    await signIn(second, admins(demo)[1]);
    await second.goto(`/orgs/${org}`);
    await look(second, 'owner-change-to-approve');
    await second.getByRole('button', { name: 'Approve the change' }).click();
    await expect(flash(second)).toContainText('The new OpenPGP key counts');
    await second.goto('/tickets/NOV-4813');
    await expect(second.locator('main')).toContainText('9 of 9 pass');
    await second.context().close();
    await page.goto('/tickets/NOV-4813');
    await expect(page.locator('main')).toContainText('Another admin has to do this');
    await expect(page.getByRole('button', { name: 'Start impersonation' })).toHaveCount(0);
    await look(page, 'ticket-stays-away');
  });
});

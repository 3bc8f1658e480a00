// The new key goes into the vault that the customer shares: the console knows that it is there, and
// not what it is.
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openMail } from '../support/customer.ts';
import { look } from '../support/looks.ts';
import { handOff, impersonationOf, rotate, sendTestEvent, start } from '../support/procedure.ts';
import { admins, expect, flash, signIn, test } from '../support/test.ts';

test('NOV-4814, from the ticket to the shared vault: screenshot and axe', async ({ page, context, demo }) => {
  const main = page.locator('main');
  const ticket = 'NOV-4814';
  await signIn(page, admins(demo)[0]);
  await start(page, ticket);
  await expect(main).toContainText('sealed at once for the shared vault');
  await rotate(page);
  await expect(main).toContainText('the 1Password vault shared with Farah Siddiqui');
  await expect(main.getByRole('link', { name: 'message.asc' })).toHaveCount(0);
  await look(page, 'ticket-vault-3-hand-off');

  // The Connect server cannot keep anything while a folder stands where it writes.
  const obstacle = join(demo.data, 'shared_vaults.json.new');
  await mkdir(obstacle);
  await handOff(page);
  await expect(flash(page)).toContainText('goes into the shared vault');
  await test.step('while the vault takes nothing, the console says that it waits, and why', async () => {
    await expect(async () => {
      await page.goto(`/tickets/${ticket}`);
      await expect(main).toContainText('the item for the shared vault waits: the 1Password', { timeout: 100 });
    }).toPass({ intervals: [250], timeout: 15_000 });
    await expect(main).toContainText('after the new one is delivered');
    await look(page, 'ticket-vault-4-waits');
    await page.goto(`/impersonations/${await impersonationOf(page, ticket)}`);
    const handoff = page.getByRole('region', { name: 'Handoff' });
    await expect(handoff).toContainText('Not in the shared vault yet');
    await expect(page.getByRole('region', { name: 'Verdict' })).toContainText('Complete');
    await look(page, 'impersonation-vault-waits');
    await rmdir(obstacle);
    await handoff.getByRole('button', { name: 'Try again now' }).click();
    await expect(flash(page)).toContainText('Trying again now');
  });

  const side = await context.newPage();
  await test.step('the item is in the vault, its value behind a click', async () => {
    const item = side.getByRole('listitem').filter({ hasText: /Webhook signing key whk_\w+, version \d+/ });
    await expect(async () => {
      await side.goto(`${demo.customer_side}/vault`);
      await expect(item).toHaveCount(1, { timeout: 100 });
    }).toPass({ intervals: [250], timeout: 15_000 });
    const value = item.getByText(/^whsec_/);
    await expect(value).toBeHidden();
    await look(side, 'customer-vault');
    await item.locator('summary').click();
    await expect(value).toBeVisible();
    await look(side, 'customer-vault-revealed');
  });

  await test.step('the console says so, and shows nothing of it', async () => {
    await page.goto(`/tickets/${ticket}`);
    await expect(main).toContainText('in the shared vault since');
    await expect(page.getByText('whsec_')).toHaveCount(0);
    await look(page, 'ticket-vault-5-complete');
    await page.goto(`/impersonations/${await impersonationOf(page, ticket)}`);
    const handoff = page.getByRole('region', { name: 'Handoff' });
    await expect(handoff).toContainText('In the shared vault');
    await expect(handoff).toContainText('Written');
    await expect(page.getByRole('region', { name: 'Verdict' })).toContainText('Complete');
    await look(page, 'impersonation-vault');
  });

  await test.step('the Owner is told where it is, and confirms', async () => {
    const mail = await openMail(context, demo, /NOV-4814\] Your new secret is in the shared vault/);
    await expect(mail.locator('main')).not.toContainText('whsec_');
    await mail.getByRole('link', { name: '/acknowledge/' }).click();
    await look(mail, 'acknowledge-vault');
    await mail.getByRole('button', { name: 'Yes, I have it' }).click();
    await expect(mail.locator('main')).toContainText('Thank you');
  });

  await test.step('with the key installed, messages verify with both', async () => {
    await side.getByRole('button', { name: 'Install as the new webhook key' }).click();
    await expect(side).toHaveURL(/\/hooks/);
    await page.goto(`/tickets/${ticket}`);
    const said = await sendTestEvent(page);
    expect(said).toContain('new key: accepted, old key: accepted');
  });

  await test.step('both logs say that it was delivered, after the end', async () => {
    await page.goto(`/audit?ticket=${ticket}`);
    for (const action of ['platform.secret_delivered', 'handoff.delivered']) {
      await expect(page.getByRole('row').filter({ hasText: action })).not.toHaveCount(0);
    }
  });
});

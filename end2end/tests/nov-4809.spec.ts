// The Owner cannot be reached: the one thing left is Legal, and nothing can be minted after.
import type { Page } from '@playwright/test';
import { postByForm, postByScript } from '../support/forms.ts';
import { start } from '../support/procedure.ts';
import { admins, expect, flash, signIn, test } from '../support/test.ts';

test('NOV-4809 ends with Legal: a summary to send, and nothing left to start', async ({ page, demo }) => {
  const ticket = 'NOV-4809';
  const main = page.locator('main');
  await signIn(page, admins(demo)[0]);
  await page.goto(`/tickets/${ticket}`);
  await expect(main).toContainText('There is no way around this, for anyone');
  await expect(main.locator('.btn-primary')).toHaveText(['Escalate to Legal']);
  await page.getByRole('button', { name: 'Escalate to Legal' }).click();
  await expect(flash(page)).toContainText('Escalated to Legal');

  await test.step('the summary is there to be copied', async () => {
    const figure = page.getByRole('figure').filter({ hasText: 'Summary to send to Legal' });
    for (const said of [ticket, 'Saltmarsh Shipping', 'Conrad Bell', 'Called the number on file twice']) {
      await expect(figure).toContainText(said);
    }
    await expect(figure.getByRole('button', { name: 'Copy' })).toBeVisible();
  });
  await expectTheEnd(page, ticket);
  await test.step('the platform log has the case', async () => {
    await page.goto(`/audit?ticket=${ticket}&action=platform.escalated_to_legal`);
    await expect(page.getByText('platform.escalated_to_legal').first()).toBeVisible();
  });
});

test('marking the Owner unreachable ends what runs, and leaves only Legal', async ({ page, demo }) => {
  const ticket = 'NOV-4802';
  await signIn(page, admins(demo)[0]);
  await start(page, ticket);
  await page.getByText('The Owner does not answer?').click();
  await page.getByLabel('What was tried, how and when').fill('Called twice, wrote once, no answer.');
  await page.getByRole('button', { name: 'Mark the Owner unreachable' }).click();
  await expect(flash(page)).toContainText('Owner marked unreachable');
  await expect(page.getByRole('region', { name: 'Live impersonation' })).toHaveCount(0);
  await page.getByRole('button', { name: 'Escalate to Legal' }).click();
  await expect(flash(page)).toContainText('Escalated to Legal');
  await expectTheEnd(page, ticket);
});

/** No button starts anything, and neither does a post past the buttons. */
async function expectTheEnd(page: Page, ticket: string) {
  await page.goto(`/tickets/${ticket}`);
  await expect(page.locator('main')).toContainText('Legal has the case. Nothing can be started for this ticket.');
  const posts = await page
    .locator('main form[method=post i]')
    .evaluateAll((forms) => forms.map((form) => form.getAttribute('action')!));
  expect(posts).toEqual([]);
  expect((await postByScript(page, 'impersonate', { ticket })).status).toBe(409);
  await postByForm(page, 'impersonate', { ticket });
  await expect(flash(page)).toContainText('Refused: nothing was started');
  await page.goto('/impersonations');
  await expect(page.getByRole('region', { name: 'Live impersonation' })).toHaveCount(0);
}

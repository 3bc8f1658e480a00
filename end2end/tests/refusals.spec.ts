// Each ticket that may not be served says why, offers its reply, and cannot be forced.
import { formOf, post } from '../support/forms.ts';
import { admins, expect, signIn, test } from '../support/test.ts';

const refused = {
  'NOV-4806': 'Consent',
  'NOV-4807': 'Requester is Owner',
  'NOV-4808': 'Requester is Owner',
  'NOV-4809': 'Owner reachable',
  'NOV-4810': 'Requester authenticated',
  'NOV-4811': 'Requester is Owner',
  'NOV-4812': 'Self-service unavailable',
  'NOV-4813': 'Handoff possible',
  'NOV-4815': 'Ticket open',
  'NOV-4816': 'Secret known',
};

for (const [ticket, check] of Object.entries(refused)) {
  test(`${ticket} is refused: ${check}`, async ({ page, demo }) => {
    await signIn(page, admins(demo)[0]);

    await page.goto('/tickets/NOV-4801');
    const start = await formOf(page, 'Start impersonation');

    await page.goto(`/tickets/${ticket}`);
    const failed = page.getByRole('listitem').filter({ hasText: 'failed' });
    await expect(failed.filter({ hasText: check })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Start impersonation' })).toHaveCount(0);
    if (ticket !== 'NOV-4815') await expect(page.getByRole('button', { name: 'Post' })).toBeVisible();

    const forced = JSON.parse(JSON.stringify(start).replaceAll('NOV-4801', ticket));
    await post(page, forced);
    await page.goto('/impersonations');
    await expect(page.locator('main')).not.toContainText(ticket);
    await page.goto(`/audit?ticket=${ticket}`);
    await expect(page.getByText('platform.impersonation_denied').first()).toBeVisible();
  });
}

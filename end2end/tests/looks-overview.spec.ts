// The overview: what needs a look, and figures that lead to what they count.
import { postByForm } from '../support/forms.ts';
import { look } from '../support/looks.ts';
import { handOff, rotate, start } from '../support/procedure.ts';
import { admins, auditor, expect, flash, signIn, test } from '../support/test.ts';

test('each figure leads to what it counts: screenshot and axe', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  await start(page, 'NOV-4801');
  await rotate(page);
  await handOff(page);
  await page.goto('/tickets/NOV-4813');
  await postByForm(page, 'impersonate', { ticket: 'NOV-4813' });
  await expect(flash(page)).toContainText('Refused');

  await signIn(page, auditor(demo));
  const unacknowledged = page.getByRole('listitem').filter({ hasText: 'Handoff not acknowledged' });
  await expect(async () => {
    await page.goto('/overview');
    await expect(unacknowledged.getByRole('link', { name: /: 1, all of them/ })).toBeVisible({ timeout: 100 });
    await expect(page.getByRole('img', { name: /^Histogram of how many minutes 1 tokens/ })).toBeVisible({ timeout: 100 });
    await expect(page.getByRole('img', { name: /^Bars of refused attempts/ })).toBeVisible({ timeout: 100 });
  }).toPass({ timeout: 20_000 });
  for (const summary of await page.getByText('The figures as a table').all()) await summary.click();
  await look(page, 'overview');

  await unacknowledged.getByRole('link', { name: /all of them/ }).click();
  await expect(page).toHaveURL('/audit?standing=unacknowledged');
  await expect(page.locator('tbody.tl-group')).toHaveCount(1);
  await page.goto('/overview');
  await unacknowledged.getByRole('link', { name: /as a list/ }).click();
  await expect(page.locator('tbody tr')).toHaveCount(1);
  await look(page, 'impersonations-unacknowledged');

  await page.goto('/overview?days=365');
  const lengths = page.getByRole('region', { name: 'How long tokens were open' });
  await lengths.getByText('The figures as a table').click();
  await lengths.getByRole('rowheader').getByRole('link').first().click();
  await expect(page).toHaveURL(/\/audit\?open_for=\d+&from=/);
  await expect(page.locator('tbody.tl-group')).toHaveCount(1);
  await page.goto('/overview?days=365');
  await lengths.getByRole('link', { name: /those that were open for/ }).first().click();
  await expect(page.locator('tbody tr')).toHaveCount(1);

  await page.goto('/overview');
  await page.getByRole('region', { name: 'Most served orgs' }).locator('.chart-hits a').first().click();
  await expect(page).toHaveURL(/\/audit\?org=.*action=platform\.impersonation_started/);
});

// Pages that show the seeded story: nothing for axe to find, nothing too wide, a picture of each.
import { openMail } from '../support/customer.ts';
import { postByForm } from '../support/forms.ts';
import { look } from '../support/looks.ts';
import { start } from '../support/procedure.ts';
import { admins, auditor, expect, flash, signIn, test } from '../support/test.ts';

const pages = {
  tickets: '/tickets',
  'tickets-empty': '/tickets?q=nothing+like+it',
  'ticket-gateway': '/tickets/NOV-4804',
  'ticket-refused': '/tickets/NOV-4807',
  'ticket-closed': '/tickets/NOV-4815',
  'ticket-consent-off': '/tickets/NOV-4806',
  'impersonations-empty': '/impersonations',
  orgs: '/orgs',
  org: '/orgs/brightwater',
  'org-bad-key': '/orgs/lumenstreet',
  'audit-wrong-filter': '/audit?ticket=what',
  'audit-search': '/audit?text=consent',
  'audit-search-empty': '/audit?text=nothing+like+it',
  'step-up': '/step-up?next=/tickets/NOV-4801',
  deliveries: '/deliveries',
  'not-found': '/nowhere',
};

test('sign-in: screenshot and axe', async ({ page }) => {
  await page.goto('/sign-in');
  await look(page, 'sign-in');
});

for (const [name, path] of Object.entries(pages)) {
  test(`${name}: screenshot and axe`, async ({ page, demo }) => {
    await signIn(page, admins(demo)[0]);
    await page.goto(path);
    await look(page, name);
  });
}

test('a ticket as an auditor sees it: screenshot and axe', async ({ page, demo }) => {
  await signIn(page, auditor(demo));
  await page.goto('/tickets/NOV-4802');
  await look(page, 'ticket-auditor');
});

test('the menu of a narrow window: screenshot and axe', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto('/tickets');
  await page.getByText('Menu', { exact: true }).click();
  await expect(page.getByRole('link', { name: 'Organizations' })).toBeVisible();
  await look(page, 'menu', 'narrow');
});

test('a forced refusal: screenshot and axe', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets/NOV-4813');
  await postByForm(page, 'impersonate', { ticket: 'NOV-4813' });
  await expect(flash(page)).toContainText('Refused');
  await look(page, 'ticket-refused-by-force');
});

test('consent by the Owner’s link: screenshot and axe', async ({ page, context, demo }) => {
  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets/NOV-4806');
  await page.getByRole('button', { name: 'Ask the Owner to re-enable' }).click();
  await expect(flash(page)).toContainText('Asked');
  const mail = await openMail(context, demo, /NOV-4806\] May the platform act/);
  await mail.getByRole('link', { name: /\/consent\// }).click();
  await look(mail, 'consent');
  await mail.getByRole('button', { name: 'Allow it' }).click();
  await look(mail, 'consent-given');
  // With it, the ticket passes.
  await page.goto('/tickets/NOV-4806');
  await expect(page.getByRole('button', { name: 'Start impersonation' })).toBeVisible();
  await look(page, 'ticket-consent-for-it');

  await start(page, 'NOV-4806');
  const begun = await openMail(context, demo, /NOV-4806\] A platform admin is acting/);
  await begun.getByRole('link', { name: /\/withdraw\// }).click();
  await look(begun, 'withdraw');
  await begun.getByRole('button', { name: 'Withdraw consent now' }).click();
  await look(begun, 'withdrawn');
});

test('a case that Legal has: screenshot and axe', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets/NOV-4809');
  await page.getByRole('button', { name: 'Escalate to Legal' }).click();
  await look(page, 'ticket-escalated');
});

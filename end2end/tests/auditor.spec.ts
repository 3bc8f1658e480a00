import { formOf, post } from '../support/forms.ts';
import { admins, auditor, expect, signIn, test } from '../support/test.ts';

const mayRead = ['/tickets/NOV-4801', '/impersonations', '/audit', '/orgs'];
const changes = /start impersonation|rotate|hand off|end now|send a test event|post|escalate/i;

test('an auditor is offered nothing that changes something', async ({ page, demo }) => {
  await signIn(page, auditor(demo));
  for (const path of mayRead) {
    const answer = await page.goto(path);
    expect(answer!.status(), path).toBe(200);
    await expect(page.getByRole('button', { name: changes }), path).toHaveCount(0);
  }
});

test('an auditor who posts the form of an admin is refused', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets/NOV-4801');
  const start = await formOf(page, 'Start impersonation');

  await page.context().clearCookies();
  await signIn(page, auditor(demo));
  expect((await post(page, start)).status).toBe(403);

  await page.goto('/impersonations');
  await expect(page.locator('main')).not.toContainText('NOV-4801');
});

test('a post from another site is refused, whoever is signed in', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets/NOV-4801');
  const start = await formOf(page, 'Start impersonation');
  const elsewhere = { Origin: 'https://elsewhere.example', 'Sec-Fetch-Site': 'cross-site' };
  expect((await post(page, start, elsewhere)).status).toBe(403);
});

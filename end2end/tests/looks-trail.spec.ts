// What is to be seen of a procedure once it is over, here and at the customer's: axe, widths, pictures.
import { openMail } from '../support/customer.ts';
import { look } from '../support/looks.ts';
import { handOff, impersonationOf, rotate, sendTestEvent, start } from '../support/procedure.ts';
import { admins, expect, signIn, test } from '../support/test.ts';

// Not the one of looks-stages: the same demo may serve both.
const ticket = 'NOV-4802';

test('what a procedure leaves behind: screenshot and axe', async ({ page, context, browser, demo }) => {
  await signIn(page, admins(demo)[0]);
  await start(page, ticket);
  await rotate(page);
  await handOff(page);

  const mail = await openMail(context, demo, /NOV-4802\] Your new secret/);
  await look(mail, 'customer-mail');
  const link = await mail.getByRole('link', { name: /\/acknowledge\// }).getAttribute('href');
  await mail.goto(demo.customer_side);
  await look(mail, 'customer-inbox');
  await mail.getByRole('link', { name: /NOV-4802\] Your new secret/ }).click();
  await mail.getByRole('button', { name: 'Decrypt with the Owner' }).click();
  await look(mail, 'customer-decrypted');
  await mail.getByRole('button', { name: 'Install as the new webhook key' }).click();
  await expect(mail).toHaveURL(/\/hooks/);
  await sendTestEvent(page);
  await mail.reload();
  await look(mail, 'customer-webhooks');

  const owner = await (await browser.newContext()).newPage();
  await owner.goto(link!);
  await look(owner, 'acknowledge');
  await owner.getByRole('button', { name: 'Yes, I have it' }).click();
  await look(owner, 'acknowledged');
  await owner.goto(`${demo.address}/acknowledge/no-such-link`);
  await look(owner, 'acknowledge-wrong-link');
  await owner.context().close();

  const impersonation = await impersonationOf(page, ticket);
  await look(page, 'impersonations');
  await page.goto(`/impersonations/${impersonation}`);
  await look(page, 'impersonation-complete');
  await page.goto(`/audit?ticket=${ticket}`);
  await look(page, 'audit-ticket');
  await page.locator('table .ev > summary').first().click();
  await look(page, 'audit-row-open');
  await page.goto('/audit');
  await look(page, 'audit');

  await page.goto(`/tickets/${ticket}`);
  await page.getByRole('region', { name: 'Newest audit rows' }).getByRole('link').last().click();
  await expect(page.getByRole('region', { name: 'Proof' })).toContainText('Proven');
  await look(page, 'audit-row');
  await page.goto('/orgs/copperleaf');
  await look(page, 'org-after-rotation');
});

// Consent was switched off: the Owner gives it for this one ticket by the link, and it goes off by itself.
import { openMail } from '../support/customer.ts';
import { postByForm } from '../support/forms.ts';
import { handOff, rotate, start } from '../support/procedure.ts';
import { admins, expect, flash, signIn, test } from '../support/test.ts';

const ticket = 'NOV-4806';
const org = 'marigold';

test('consent for one ticket: given by the link, used, and off by itself', async ({ page, context, browser, demo }) => {
  const main = page.locator('main');
  // Nobody of the platform, and with scripts off: what a mail's link opens on any machine.
  const owner = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await signIn(page, admins(demo)[0]);

  await test.step('the Owner is asked, and finds the link in the mail', async () => {
    await page.goto(`/tickets/${ticket}`);
    await page.getByRole('button', { name: 'Ask the Owner to re-enable' }).click();
    await expect(flash(page)).toContainText('Asked');
    await expect(main).not.toContainText('/consent/');
    const mail = await openMail(context, demo, /NOV-4806\] May the platform act/);
    const link = await mail.getByRole('link', { name: /\/consent\// }).getAttribute('href');
    await owner.goto(link!);
    await mail.close();
  });

  await test.step('it says what it allows, for how long and who asks; this ticket only is chosen', async () => {
    const card = owner.locator('main');
    await expect(card).toContainText('rotate the one secret of a ticket that you filed');
    await expect(card).toContainText(`${admins(demo)[0].name} for ticket ${ticket}`);
    await expect(owner.getByRole('radio', { name: `For ${ticket} only` })).toBeChecked();
    await owner.getByRole('button', { name: 'Allow it' }).click();
    await expect(flash(owner)).toContainText(`for ${ticket} only`);
  });

  await test.step('the ticket passes, and is carried to its end', async () => {
    await page.goto(`/tickets/${ticket}`);
    const eligibility = page.getByRole('region', { name: 'Eligibility' });
    await expect(eligibility).toContainText('9 of 9 pass');
    await expect(eligibility).toContainText(`given for ${ticket} only`);
    await start(page, ticket);
    const begun = await openMail(context, demo, /NOV-4806\] A platform admin is acting/);
    await expect(begun.locator('main')).toContainText('for this ticket only, and goes off by itself');
    await expect(begun.getByRole('link', { name: /\/withdraw\// })).toBeVisible();
    await begun.close();
    await rotate(page);
    await handOff(page);
    await expect(main.getByRole('heading', { name: 'Complete' })).toBeVisible();
  });

  await test.step('consent is off, in both logs, and nothing more can be started', async () => {
    await expect(main).toContainText('Consent is off: no test event can be sent any more.');
    await page.goto(`/orgs/${org}`);
    await expect(main).toContainText('Consent off');
    await page.goto(`/audit?ticket=${ticket}&action=consent.disabled`);
    await expect(main).toContainText('its one ticket is done');
    await postByForm(page, 'impersonate', { ticket });
    await expect(flash(page)).toContainText('Refused: nothing was started');
    await expect(flash(page)).toContainText('Consent');
  });
  await owner.context().close();
});

test('the Owner withdraws by the link in the mail, and what runs ends at once', async ({ page, context, browser, demo }) => {
  // Another ticket: the one above is done.
  const ticket = 'NOV-4801';
  const customer = demo.orgs.find(({ slug }) => slug === 'brightwater')!;
  const credential = customer.credentials.find(({ role }) => role === 'owner')!;
  const consent = (body: object) =>
    page.request.put('/api/v1/org/consent', {
      headers: { Authorization: `Bearer ${credential.token}` },
      data: body,
    });
  await signIn(page, admins(demo)[0]);

  await test.step('the API wants to know for how long', async () => {
    const vague = await consent({ allow_platform_impersonation: true });
    expect(vague.status()).toBe(422);
    expect((await vague.json()).detail).toContain('ticket_ref');
    const given = await consent({ allow_platform_impersonation: true, until_withdrawn: true });
    expect(await given.json()).toEqual({ allow_platform_impersonation: true, until_withdrawn: true });
  });

  await start(page, ticket);
  const bar = page.getByRole('region', { name: 'Live impersonation' });
  await expect(bar).toContainText(ticket);
  const mail = await openMail(context, demo, /NOV-4801\] A platform admin is acting/);
  const link = await mail.getByRole('link', { name: /\/withdraw\// }).getAttribute('href');

  const owner = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await owner.goto(link!);
  await expect(owner.locator('main')).toContainText(ticket);
  await page.reload();
  await expect(bar, 'opening the link changes nothing').toContainText(ticket);
  await owner.getByRole('button', { name: 'Withdraw consent now' }).click();
  await expect(owner.getByRole('heading', { name: 'Consent is off' })).toBeVisible();
  await expect(owner.getByRole('button')).toHaveCount(0);
  await owner.context().close();

  await page.reload();
  await expect(bar).toHaveCount(0);
  await page.goto(`/audit?ticket=${ticket}&action=impersonation.ended`);
  await expect(page.locator('main')).toContainText('consent withdrawn');
});

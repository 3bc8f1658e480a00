// An auditor reads everything, is offered nothing that changes something, and cannot force it.
import type { Page } from '@playwright/test';
import { postByForm, postByScript } from '../support/forms.ts';
import { handOff, impersonationOf, rotate, start } from '../support/procedure.ts';
import { admins, auditor, expect, flash, signIn, test } from '../support/test.ts';

const ticket = 'NOV-4801';

test('an auditor can change nothing, at any stage of the procedure', async ({ page, browser, demo }) => {
  const admin = await (await browser.newContext()).newPage();
  await signIn(admin, admins(demo)[0]);
  await signIn(page, auditor(demo));

  await test.step('nothing started', async () => {
    await readsOnly(page, ['/tickets', '/orgs', `/orgs/${demo.orgs[0].slug}`, '/tickets/NOV-4806', '/tickets/NOV-4807']);
    await readsOnly(page, [`/tickets/${ticket}`, '/impersonations', '/audit']);
    await expectForbidden(page, 'impersonate', { ticket });
    await expectForbidden(page, 'post_reply', { ticket: 'NOV-4807', check: 'requester_is_owner' });
    await expectForbidden(page, 'request_consent', { ticket: 'NOV-4806' });
    await expectForbidden(page, 'reply', { ticket, text: 'We are on it.' });
    await expectForbidden(page, 'mark_unreachable', { ticket, attempts: 'Called twice, no answer.' });
    await expectForbidden(page, 'escalate', { ticket: 'NOV-4809' });
    await page.goto('/impersonations');
    await expect(page.locator('main')).not.toContainText(ticket);
  });

  await start(admin, ticket);
  const impersonation = await impersonationOf(admin, ticket);
  const pages = [`/tickets/${ticket}`, '/impersonations', `/impersonations/${impersonation}`];

  await test.step('live', async () => {
    await readsOnly(page, pages);
    await expectForbidden(page, 'rotate', { impersonation });
    await expectForbidden(page, 'end', { impersonation, back: '/tickets' });
    await page.goto(`/tickets/${ticket}`);
    await expect(page.getByRole('region', { name: 'Live impersonation' })).toBeVisible();
  });

  await admin.goto(`/tickets/${ticket}`);
  await rotate(admin);

  await test.step('rotated', async () => {
    await readsOnly(page, pages);
    await expectForbidden(page, 'hand_off', { impersonation });
  });

  await handOff(admin);
  const message = admin.getByRole('link', { name: 'message.asc' });
  await admin.goto(`/impersonations/${impersonation}`);
  const handoff = (await message.getAttribute('href'))!.split('/')[2];
  await admin.goto(`/tickets/${ticket}`);
  const event = admin.locator('form[action="/do/test_event"]');
  const [org, secret] = await Promise.all(
    ['org', 'secret'].map((name) => event.locator(`[name=${name}]`).inputValue()),
  );

  await test.step('over', async () => {
    await readsOnly(page, [...pages, `/orgs/${demo.orgs[0].slug}`, '/audit']);
    await expectForbidden(page, 'acknowledge_staff', { handoff, over: 'telephone', how: 'Olive', back: '/tickets' });
    await expectForbidden(page, 'test_event', { org, secret, ticket, back: '/tickets' });
    await page.goto(`/tickets/${ticket}`);
    await expect(page.locator('main')).toContainText('not acknowledged yet');
  });
  await admin.context().close();
});

/** The pages open, and their only forms that post are for the session itself. */
async function readsOnly(page: Page, paths: string[]) {
  for (const path of paths) {
    const answer = await page.goto(path);
    expect(answer!.status(), path).toBe(200);
    const posts = await page
      .locator('form[method=post i]')
      .evaluateAll((forms) => forms.map((form) => form.getAttribute('action')!));
    expect([...new Set(posts)].sort(), path).toEqual(['/do/sign_out', '/do/theme']);
  }
}

async function expectForbidden(page: Page, name: string, fields: Record<string, string>) {
  const answer = await postByScript(page, name, fields);
  expect(answer, name).toEqual({ status: 403, text: expect.stringContaining('forbidden') });
  await postByForm(page, name, fields);
  await expect(flash(page), name).toContainText('Not allowed: nothing was done');
}

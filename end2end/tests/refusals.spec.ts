// A ticket that may not be served says why, offers its reply, and cannot be forced past the page.
import type { Page } from '@playwright/test';
import { postByForm, postByScript } from '../support/forms.ts';
import { admins, expect, flash, signIn, test } from '../support/test.ts';

type Refusal = {
  check: string;
  saw: string | RegExp;
  /** The one primary button, if it is not the one that posts the reply. */
  next?: string;
  reply?: string | RegExp;
  closed?: true;
};

const refused: Record<string, Refusal> = {
  'NOV-4806': {
    check: 'Consent',
    saw: 'allow_platform_impersonation is false',
    next: 'Ask the Owner to re-enable',
    reply: 'please re-enable allow_platform_impersonation',
  },
  'NOV-4807': {
    check: 'Requester is Owner',
    saw: 'the requester is an Admin of the org',
    reply: 'As an Admin you can rotate this yourself',
  },
  'NOV-4808': {
    check: 'Requester is Owner',
    saw: 'the requester is an Operator of the org, not its Owner of record',
    reply: 'only do this at the request of your organization',
  },
  'NOV-4809': {
    check: 'Owner reachable',
    saw: /marked unreachable .* UTC: /,
    next: 'Escalate to Legal',
  },
  'NOV-4810': {
    check: 'Requester authenticated',
    saw: 'support did not authenticate the requester',
    reply: 'Please sign in to support and answer from your signed-in session',
  },
  'NOV-4811': {
    check: 'Requester is Owner',
    saw: /became Owner of record on .* UTC, after the ticket was filed on .* UTC/,
    reply: 'changed after this ticket was filed',
  },
  'NOV-4812': {
    check: 'Self-service unavailable',
    saw: '1 active Admin of the org can sign in',
    reply: 'can sign in and rotate this secret with Rotate API keys',
  },
  'NOV-4813': {
    check: 'Handoff possible',
    saw: /PGP: this key expired on /,
    reply: /gpg --quick-set-expire [0-9A-F]{40} 1y/,
  },
  'NOV-4815': {
    check: 'Ticket open',
    saw: 'the ticket is closed',
    reply: 'This ticket is no longer open',
    closed: true,
  },
  'NOV-4816': {
    check: 'Secret known',
    saw: /^whk_\w+ is not a secret of this org$/,
    reply: 'Please send us its id; never the secret itself',
  },
};

for (const [ticket, { check, saw, next, reply, closed }] of Object.entries(refused)) {
  test(`${ticket} is refused: ${check}`, async ({ page, demo }) => {
    await signIn(page, admins(demo)[0]);
    await page.goto(`/tickets/${ticket}`);

    await test.step('one check fails, with its own reason', async () => {
      const failed = page.getByRole('listitem').filter({ hasText: 'Failed: ' });
      await expect(failed).toHaveCount(1);
      await expect(failed).toContainText(`Failed: ${check}`);
      await expect(failed.locator('.check-saw')).toHaveText(saw);
      await expect(page.getByRole('button', { name: 'Start impersonation' })).toHaveCount(0);
      await expect(page.locator('main .btn-primary')).toHaveText(closed ? [] : [next ?? 'Post to ticket']);
    });

    await test.step('its reply is copied, and posted to a ticket that is not closed', async () => {
      const figure = page.getByRole('figure');
      await expect(figure).toHaveCount(reply ? 1 : 0);
      if (!reply) return;
      await expect(figure).toContainText(reply);
      const whole = await figure.locator('blockquote').innerText();
      expect(await copied(page)).toBe(whole);
      await expect(page.getByRole('button', { name: 'Post to ticket' })).toHaveCount(closed ? 0 : 1);
      if (closed) return;
      await page.getByRole('button', { name: 'Post to ticket' }).click();
      await expect(flash(page)).toContainText('Posted');
      await expect(page.getByRole('region', { name: 'Messages' })).toContainText(whole);
    });

    let attempts = 0;
    await test.step('the mint function refuses it, however it is called', async () => {
      const answer = await postByScript(page, 'impersonate', { ticket });
      expect(answer).toEqual({ status: 409, text: expect.stringContaining('refused') });

      await postByForm(page, 'impersonate', { ticket });
      await expect(page).toHaveURL(`/tickets/${ticket}`);
      await expect(flash(page)).toContainText('Refused: nothing was started');
      await expect(flash(page)).toContainText(check);

      attempts = 2;
      const doubted = page.getByRole('button', { name: 'Try all the same' });
      if (await doubted.count()) {
        await doubted.click();
        await expect(flash(page)).toContainText('Refused: nothing was started');
        attempts = 3;
      }
    });

    await expectNothingStarted(page, ticket);
    await test.step('each attempt stands in the platform log', async () => {
      await page.goto(`/audit?ticket=${ticket}`);
      const rows = page.getByRole('row').filter({ hasText: 'platform.impersonation_refused' });
      await expect(rows).toHaveCount(attempts);
    });
  });
}


async function expectNothingStarted(page: Page, ticket: string) {
  await page.goto('/impersonations');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Impersonations');
  await expect(page.locator('main')).not.toContainText(ticket);
  await expect(page.getByRole('region', { name: 'Live impersonation' })).toHaveCount(0);
}

async function copied(page: Page): Promise<string> {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy', exact: true }).click();
  await expect(page.getByText('Copied', { exact: true })).toBeAttached();
  return page.evaluate(() => navigator.clipboard.readText());
}
